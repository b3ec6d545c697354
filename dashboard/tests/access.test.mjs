// Tokens with scopes, which are made, shown once and revoked, and the log of who has changed what.
import assert from "node:assert/strict";
import { test } from "node:test";
import { options, serve, visit } from "./browser.mjs";

const ADMIN = "an-admin-token-of-thirty-two-letters";
const bearer = (token) => ({ authorization: `Bearer ${token}` });

test("a token is made, shown once, used and revoked, and all of it is in the log", options, async (t) => {
  const server = await serve(t, { env: { LONGHAUL_ADMIN_TOKEN: ADMIN } });
  const visitor = await visit(t, server);
  const { page } = visitor;
  await visitor.open("/access");
  await page.getByLabel("Token", { exact: true }).fill(ADMIN);
  await visitor.button("Sign in").click();
  await page.getByText("No tokens yet").waitFor();
  await page.getByText("Nothing was changed yet").waitFor();

  await visitor.button("Make a token").click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name", { exact: true }).fill("the shop");
  await dialog.getByLabel(/^Scopes/).fill("enqueue:mail root");
  await dialog.getByLabel("Requests a minute").fill("100");
  await visitor.button("Make it", dialog).click();
  await dialog.getByRole("alert").getByText("scopes[1]").waitFor();
  await dialog.getByLabel(/^Scopes/).fill("enqueue:mail, read:own");
  await dialog.getByText("longhaul tokens create 'the shop' --scope enqueue:mail --scope read:own --rate 100/1m").waitFor();
  await visitor.button("Make it", dialog).click();
  const shown = page.locator("[data-token]");
  await shown.waitFor();
  const token = await shown.textContent();
  assert.match(token, /^lht_\w{40}$/);
  const row = page.getByRole("region", { name: "Tokens", exact: true }).getByRole("row", { name: /the shop/ });
  await row.getByText("100 in 1 minute").waitFor();

  const as = async (method, path, body) => {
    const answer = await fetch(`${server.url}/api/${path}`, { method, headers: { ...bearer(token), "content-type": "application/json" }, ...(body && { body: JSON.stringify(body) }) });
    return [answer.status, answer.headers.get("ratelimit")];
  };
  const [status, limit] = await as("POST", "jobs", { kind: "mail", args: {}, id: "one" });
  assert.equal(status, 202);
  assert.match(limit, /^"token";r=99;t=\d+$/);
  assert.equal((await as("POST", "jobs", { kind: "other", args: {} }))[0], 403);
  assert.equal((await as("GET", "jobs/one"))[0], 200);
  assert.equal((await as("GET", "queues"))[0], 403);

  await visitor.button("I have kept it").click();
  await page.reload();
  await row.waitFor();
  assert.equal(await page.getByText(token).count(), 0, "it is told once");
  await visitor.button("Revoke the shop").click();
  await visitor.confirm("Revoke the token the shop?", "Revoke");
  await page.getByText("No tokens yet").waitFor();
  assert.equal((await as("GET", "jobs/one"))[0], 401);

  await server.call("POST", "queues/default/pause", undefined, bearer(ADMIN));
  assert.match(await page.locator('tr[data-action="job.enqueue"]').textContent(), /the shop.*refused: forbidden/);
  for (const action of ["queue.pause", "token.delete", "token.create"]) {
    const entry = page.locator(`tr[data-action="${action}"]`);
    await entry.waitFor();
    assert.match(await entry.textContent(), /the administrator's token/);
  }
  assert.deepEqual(await visitor.violations(), []);
});

test("a token with a role signs in, and is signed out when it is revoked", options, async (t) => {
  const server = await serve(t, { env: { LONGHAUL_ADMIN_TOKEN: ADMIN } });
  const make = (name, scopes) => server.call("POST", "tokens", { name, scopes }, bearer(ADMIN));
  const shop = await make("the shop", ["enqueue:mail"]);
  const wall = await make("the wall", ["viewer"]);
  const visitor = await visit(t, server);
  const { page } = visitor;
  await visitor.open("/access");
  await page.getByLabel("Token", { exact: true }).fill(shop.token);
  await visitor.button("Sign in").click();
  await page.getByRole("alert").waitFor();
  await page.getByLabel("Token", { exact: true }).fill(wall.token);
  await visitor.button("Sign in").click();
  await page.locator(".role", { hasText: "the wall, viewer" }).waitFor();
  await page.getByRole("row", { name: /the shop/ }).waitFor();
  assert.equal(await visitor.button("Revoke the shop").count(), 0);
  await server.call("DELETE", `tokens/${wall.id}`, undefined, bearer(ADMIN));
  await page.getByLabel("Token", { exact: true }).waitFor();
});
