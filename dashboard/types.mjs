// Writes src/api/openapi.ts, the types of what the API takes and answers, from the document that a snapshot test of
// longhaul-http keeps. Operations and descriptions stay out, so that the file changes only where a shape does.
import { readFileSync, writeFileSync } from "node:fs";
import openapi, { astToString } from "openapi-typescript";

const snapshot = "../crates/longhaul-http/tests/it/snapshots/it__openapi__the_document_is_as_it_was_reviewed.snap";
const text = readFileSync(new URL(snapshot, import.meta.url), "utf8");
const isProse = (name, value) => name === "description" && typeof value === "string";
const document = JSON.parse(text.slice(text.indexOf("\n{")), (name, value) => (isProse(name, value) ? undefined : value));
const types = astToString(await openapi({ ...document, paths: {} }, { defaultNonNullable: false }));
writeFileSync(new URL("src/api/openapi.ts", import.meta.url), `// Written by types.mjs; not to be edited.\n${types}`);
