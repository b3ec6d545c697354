// Runs the seed's snippet as it stands: a base URL is put before its paths, its waits are a hundredth as long, and what
// it displays is printed.
const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');

const [base, username] = process.argv.slice(2);
const { fetch, setTimeout } = globalThis;
globalThis.fetch = (url, options) => fetch(base + url, options);
globalThis.setTimeout = (run, wait) => setTimeout(run, wait / 100);
globalThis.displayResults = (result) => console.log(JSON.stringify({ result }));
globalThis.displayError = (message) => console.log(JSON.stringify({ error: message ?? null }));

const snippet = fs.readFileSync(path.join(__dirname, 'analyze_profile.js'), 'utf8');
vm.runInThisContext(`${snippet}\nglobalThis.analyzeProfile = analyzeProfile;`);
globalThis.analyzeProfile(username);
