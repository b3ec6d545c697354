// Who may see and do what.
import assert from "node:assert/strict";
import { test } from "node:test";
import { options, serve, visit } from "./browser.mjs";

const ADMIN = "an-admin-token-of-thirty-two-letters";
const bearer = { authorization: `Bearer ${ADMIN}` };

test("without a token nothing is shown, and a wrong one is refused", options, async (t) => {
  const server = await serve(t, { env: { LONGHAUL_ADMIN_TOKEN: ADMIN } });
  const visitor = await visit(t, server);
  const { page } = visitor;
  await visitor.open("/jobs");
  await page.getByLabel("Token", { exact: true }).waitFor();
  assert.deepEqual(visitor.complaints.filter((text) => !text.includes("401")), [], "the form has all that a browser's own list of passwords asks for");
  await page.getByLabel("Token", { exact: true }).fill("something else");
  await visitor.button("Sign in").click();
  await page.getByText("not known here").waitFor();
  await page.getByLabel("Token", { exact: true }).fill(ADMIN);
  await visitor.button("Sign in").click();
  await page.getByRole("heading", { name: "Jobs" }).waitFor();
  assert.equal(await page.evaluate(() => document.cookie), "", "no script can read the cookie");
  assert.equal(await page.evaluate(() => Object.keys(sessionStorage).length), 0);
  await page.reload();
  await page.getByRole("heading", { name: "Jobs" }).waitFor();
});

for (const [role, mayAct, maySet] of [["viewer", false, false], ["operator", true, false], ["admin", true, true]]) {
  test(`a ${role} sees everything, and what it may not do is not offered and is refused`, options, async (t) => {
    const server = await serve(t, { env: { LONGHAUL_ADMIN_TOKEN: ADMIN } });
    const visitor = await visit(t, server);
    const { page } = visitor;
    await server.call("POST", "jobs", { kind: "mail", queue: "post", args: {}, id: "one", limit_keys: ["tenant:7"] }, bearer);
    await visitor.open("/jobs");
    await page.getByLabel("Token", { exact: true }).fill(server.token("--sub", "eva", "--role", role));
    await visitor.button("Sign in").click();
    await page.locator("tr[data-id=one]").waitFor();
    await page.locator(".role", { hasText: role }).waitFor();
    assert.equal(await visitor.button("Select all that match").count(), mayAct ? 1 : 0);
    await page.getByRole("link", { name: "mail", exact: true }).click();
    await page.locator("h1 .available").waitFor();
    for (const name of ["Retry", "Edit and run again", "Fork", "Cancel", "Set priority", "Delete"]) {
      assert.equal(await visitor.button(name).count(), mayAct ? 1 : 0, name);
    }
    await page.getByRole("link", { name: "Queues", exact: true }).click();
    await page.getByRole("row", { name: /^post/ }).waitFor();
    assert.equal(await visitor.button("Pause post").count(), mayAct ? 1 : 0);
    assert.equal(await visitor.button("Change what is kept of post").count(), maySet ? 1 : 0);
    assert.equal(await visitor.button("Change the order of post").count(), maySet ? 1 : 0);
    assert.equal(await visitor.button("Change how many of post may wait").count(), maySet ? 1 : 0);
    await page.getByRole("row", { name: /^tenant:7/ }).waitFor();
    assert.equal(await visitor.button("Pause key tenant:7").count(), mayAct ? 1 : 0);
    assert.equal(await visitor.button("Limits of tenant:7").count(), maySet ? 1 : 0);
    assert.equal(await visitor.button("Set limits of another key").count(), maySet ? 1 : 0);
    for (const name of ["Overview", "Errors", "Schedules", "Workers", "Kinds", "Batches", "Access"]) {
      await page.getByRole("link", { name, exact: true }).click();
      await page.getByRole("heading", { name, level: 1 }).waitFor();
      assert.equal(await page.getByRole("alert").count(), 0, name);
    }
    assert.equal(await visitor.button("Make a token").count(), maySet ? 1 : 0);
    // What is not offered is not possible either.
    const status = (method, path, body) =>
      page.evaluate(
        ([method, path, body]) => fetch(path, { method, headers: { "content-type": "application/json" }, body }).then((answer) => answer.status),
        [method, path, body],
      );
    assert.equal(await status("PATCH", "/api/queues/post", '{"retention":{"failed":{"count":5}}}'), maySet ? 200 : 403);
    assert.equal(await status("POST", "/api/queues/post/pause"), mayAct ? 200 : 403);
    assert.equal(await status("PUT", "/api/keys/tenant:7", '{"slots":5}'), maySet ? 200 : 403);
    assert.equal(await status("DELETE", "/api/keys/tenant:7"), maySet ? 204 : 403);
    assert.equal(await status("POST", "/api/keys/tenant:7/pause"), mayAct ? 200 : 403);
    assert.equal(await status("POST", "/api/tokens", '{"name":"a","scopes":["viewer"]}'), maySet ? 201 : 403);
    assert.equal(await status("GET", "/api/audit"), 200);
    assert.equal(await status("POST", "/api/jobs/one/cancel"), mayAct ? 200 : 403);
    if (!maySet) {
      await page.getByRole("link", { name: "Access", exact: true }).click();
      await page.locator(".audit td small", { hasText: "refused: forbidden" }).first().waitFor();
    }
    await visitor.button("sign out").click();
    await page.getByLabel("Token", { exact: true }).waitFor();
    assert.equal(await status("GET", "/api/jobs"), 401);
  });
}
