// What the seed's frontend has around its snippet: an `api` like axios, and the workflow.
import process from 'node:process';

const [base, workflowId] = process.argv.slice(2);
const call = async (method, path) => {
  const response = await fetch(`${base}/api/v3${path}`, { method });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status}`);
  return { status: response.status, data: await response.json() };
};
const api = { get: (path) => call('GET', path), post: (path) => call('POST', path) };

// A second passes in 20 ms; what is asked for stays what the snippet asks for.
const setInterval = (work, milliseconds) => globalThis.setInterval(work, milliseconds / 50);
