import { useTitle } from "../../title";
import { AuditLog } from "./audit-log";
import { Tokens } from "./tokens";

/** Who may do what: the tokens with scopes, and what was changed by whom. */
export function Access() {
  useTitle("Access");
  return (
    <>
      <h1>Access</h1>
      <Tokens />
      <AuditLog />
    </>
  );
}
