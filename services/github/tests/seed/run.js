// Runs the seed's snippet as it stands: a base URL is put before its paths, its waits are a hundredth as long, and what
// it displays is printed.
const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');

const [base, username] = process.argv.slice(2);
// What the snippet sees under these names. They are not put into the global scope, because `fetch` itself times its
// connections there.
const seen = {
  fetch: (url, options) => fetch(base + url, options),
  setTimeout: (run, wait) => setTimeout(run, wait / 100),
  displayResults: (result) => console.log(JSON.stringify({ result })),
  displayError: (message) => console.log(JSON.stringify({ error: message ?? null })),
};

const snippet = fs.readFileSync(path.join(__dirname, 'analyze_profile.js'), 'utf8');
const make = vm.compileFunction(`${snippet}\nreturn analyzeProfile;`, Object.keys(seen));
make(...Object.values(seen))(username);
