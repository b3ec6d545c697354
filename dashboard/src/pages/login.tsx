import { useState } from "preact/hooks";
import { Problem } from "../api/call";
import { signIn } from "../session";
import { useTitle } from "../title";

/** Asks for a token, which the server turns into a cookie that no script can read. */
export function Login() {
  const [trouble, setTrouble] = useState("");
  useTitle("Sign in");
  const enter = async (token: string) => {
    setTrouble("");
    try {
      await signIn(token);
    } catch (error) {
      const isRefused = error instanceof Problem && (error.status === 401 || error.status === 403);
      setTrouble(isRefused ? "This token is not known here, has expired or has no role." : (error as Error).message);
    }
  };
  return (
    <main class="login">
      <form
        class="card"
        onSubmit={(event) => {
          event.preventDefault();
          void enter(String(new FormData(event.currentTarget).get("token") ?? "").trim());
        }}
      >
        <h1>Longhaul</h1>
        {/* Browsers that keep passwords ask for whom they keep one. */}
        <input name="username" type="text" autocomplete="username" value="token" readOnly hidden />
        <label class="field">
          Token
          <input name="token" type="password" autocomplete="current-password" required autofocus />
        </label>
        {trouble !== "" && (
          <p class="trouble" role="alert">
            {trouble}
          </p>
        )}
        <button type="submit" class="primary">
          Sign in
        </button>
        <p class="soft">
          LONGHAUL_ADMIN_TOKEN of the server, or one with the role viewer, operator or admin: of <code>longhaul token --role</code> or{" "}
          <code>longhaul tokens create</code>.
        </p>
      </form>
    </main>
  );
}
