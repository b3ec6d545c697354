import { useState } from "preact/hooks";
import { ActDialog } from "../../acts/act-dialog";
import { curl, longhaul } from "../../acts/commands";
import { notify } from "../../acts/notices";
import type { Token } from "../../api/model";
import { listTokens, revokeToken, tokenPath } from "../../api/routes";
import { useLive } from "../../live/read";
import { Copy } from "../../parts/copy";
import { Empty } from "../../parts/empty";
import { Time } from "../../parts/time";
import { To } from "../../parts/to";
import { Trouble } from "../../parts/trouble";
import { may } from "../../session";
import { chosen, count } from "../../words";
import { NewTokenDialog } from "./new-token-dialog";

/** The tokens with scopes: their rights and their ends. Admins make and revoke them. */
export function Tokens() {
  const live = useLive(listTokens, { key: "tokens", every: 10_000 });
  const [isMaking, setMaking] = useState(false);
  const [made, setMade] = useState<Token>();
  const [revoked, setRevoked] = useState<Token>();
  const tokens = live.value?.tokens;
  return (
    <section aria-labelledby="tokens-title">
      <h2 id="tokens-title">Tokens</h2>
      <Trouble error={live.error} />
      {may("admin") && (
        <p>
          <button type="button" onClick={() => setMaking(true)}>
            Make a token
          </button>
        </p>
      )}
      {made !== undefined && (
        <div class="card" role="status">
          <p>
            The token <strong>{made.name}</strong> is told this once:
          </p>
          <p>
            <code data-token>{made.token}</code> <Copy text={made.token ?? ""}>copy</Copy>
          </p>
          <p>
            <button type="button" onClick={() => setMade(undefined)}>
              I have kept it
            </button>
          </p>
        </div>
      )}
      {tokens?.length === 0 && (
        <Empty title="No tokens yet">
          A token lets an application, a worker or a person do some things and no others: <code>longhaul tokens create</code>.
        </Empty>
      )}
      {tokens !== undefined && tokens.length > 0 && (
        <div class="wide">
          <table class="queues tokens stacked">
            <thead>
              <tr>
                <th scope="col">Token</th>
                <th scope="col">May</th>
                <th scope="col">Requests</th>
                <th scope="col">Made</th>
                <th scope="col">Ends</th>
                {may("admin") && <th scope="col">Steer</th>}
              </tr>
            </thead>
            <tbody>
              {tokens.map((token) => (
                <tr key={token.id}>
                  <th scope="row">
                    {token.name}
                    <small>{token.id}</small>
                  </th>
                  <td data-label="May">
                    {token.scopes.map((scope) => (
                      <code key={scope}>{`${scope} `}</code>
                    ))}
                  </td>
                  <td data-label="Requests">{token.rate === null ? "any number" : `${count(token.rate.n)} in ${chosen(token.rate.per)}`}</td>
                  <td data-label="Made">
                    <Time at={token.created_at} />
                  </td>
                  <td data-label="Ends">{token.expires_at === null ? <span class="soft">never</span> : <Time at={token.expires_at} />}</td>
                  {may("admin") && (
                    <td class="steer">
                      <button type="button" aria-label={`Revoke ${token.name}`} onClick={() => setRevoked(token)}>
                        Revoke
                      </button>
                    </td>
                  )}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {isMaking && (
        <NewTokenDialog
          onMade={(token) => {
            setMade(token);
            live.again();
          }}
          onClose={() => setMaking(false)}
        />
      )}
      {revoked !== undefined && <RevokeDialog token={revoked} onDone={live.again} onClose={() => setRevoked(undefined)} />}
    </section>
  );
}

function RevokeDialog({ token: { id, name }, onDone, onClose }: { token: Token; onDone: () => void; onClose: () => void }) {
  return (
    <ActDialog
      title={`Revoke the token ${name}?`}
      verb="Revoke"
      isFinal
      commands={{ longhaul: longhaul("tokens", "revoke", id), curl: curl("DELETE", tokenPath(id)) }}
      onDo={() =>
        revokeToken(id).then(() => {
          notify(`The token ${name} is revoked.`);
          onDone();
        })
      }
      onClose={onClose}
    >
      <p>
        No server takes it a second from now, and whoever has signed in with it is signed out. <To page="jobs">Jobs</To> that were enqueued with it stay.
      </p>
    </ActDialog>
  );
}
