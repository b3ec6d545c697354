import { useState } from "preact/hooks";
import { ActDialog } from "../../acts/act-dialog";
import { curl, longhaul } from "../../acts/commands";
import type { NewToken, Token } from "../../api/model";
import { createToken } from "../../api/routes";
import { NumberField } from "../queues/limit-fields";

const DAY = 86_400;

/** A token that is to be made: its name, its rights, its requests and its end. */
export function NewTokenDialog({ onMade, onClose }: { onMade: (token: Token) => void; onClose: () => void }) {
  const [name, setName] = useState("");
  const [words, setWords] = useState("");
  const [requests, setRequests] = useState(NaN);
  const [days, setDays] = useState(NaN);
  const scopes = words.split(/[\s,]+/).filter((scope) => scope !== "");
  const isLimited = !Number.isNaN(requests);
  const ends = !Number.isNaN(days);
  const token: NewToken = { name, scopes, ...(isLimited && { rate: { n: requests, per: 60 } }), ...(ends && { expires_in: days * DAY }) };
  const flags = [
    ...(scopes.length === 0 ? ["SCOPE"] : scopes).flatMap((scope) => ["--scope", scope]),
    ...(isLimited ? ["--rate", `${requests}/1m`] : []),
    ...(ends ? ["--expires-in", `${days}d`] : []),
  ];
  return (
    <ActDialog
      title="Make a token"
      verb="Make it"
      commands={{ longhaul: longhaul("tokens", "create", name || "NAME", ...flags), curl: curl("POST", "tokens", token) }}
      onDo={() => createToken(token).then(onMade)}
      onClose={onClose}
    >
      <p>It is told once. What it may do is one or more of these:</p>
      <ul class="plain">
        <li>
          <code>enqueue:KIND</code> or <code>enqueue:KIND@QUEUE</code>: enqueue jobs of a kind, in one queue alone
        </li>
        <li>
          <code>read:own</code>: read the jobs that were enqueued with it
        </li>
        <li>
          <code>worker:QUEUE</code>: work for a queue
        </li>
        <li>
          <code>viewer</code>, <code>operator</code>, <code>admin</code>: the roles
        </li>
      </ul>
      <label class="field">
        Name
        <input data-first type="text" required maxLength={128} placeholder="the shop" value={name} onInput={({ currentTarget }) => setName(currentTarget.value)} />
      </label>
      <label class="field">
        Scopes, apart by blanks; a * at the end of a name is any ending
        <input type="text" required placeholder="enqueue:mail.* read:own" value={words} onInput={({ currentTarget }) => setWords(currentTarget.value)} />
      </label>
      <div class="limits">
        <NumberField label="Requests a minute" max={1_000_000} placeholder="any number" value={requests} onChange={setRequests} />
        <NumberField label="Days until it ends" max={3_650} placeholder="never" value={days} onChange={setDays} />
      </div>
    </ActDialog>
  );
}
