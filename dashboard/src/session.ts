import { signal } from "@preact/signals";
import { Problem } from "./api/call";
import type { Me, Role } from "./api/model";
import * as routes from "./api/routes";

/** Whose dashboard this is: undefined until the server has said it, null where it wants a token. */
export const me = signal<Me | null | undefined>(undefined);

/** Asks who looks. A server that is away is asked again. */
export async function meet(): Promise<void> {
  try {
    const who = await routes.whoAmI();
    // A token without a role opens nothing that is shown here.
    me.value = who.role == null ? null : who;
  } catch (error) {
    if (error instanceof Problem && (error.status === 401 || error.status === 403)) me.value = null;
    else setTimeout(() => void meet(), 1_000);
  }
}

const SIGNED_IN = "longhaul-signed-in";

/** True where a token was shown in this browser: on an open server nobody signs in. The cookie itself is seen by no script. */
export const hasSignedIn = signal(localStorage.getItem(SIGNED_IN) !== null);

export async function signIn(token: string): Promise<void> {
  me.value = await routes.signIn(token);
  localStorage.setItem(SIGNED_IN, "yes");
  hasSignedIn.value = true;
}

export async function signOut(): Promise<void> {
  await routes.signOut();
  localStorage.removeItem(SIGNED_IN);
  hasSignedIn.value = false;
  me.value = null;
}

const RANKS: Record<Role, number> = { viewer: 0, operator: 1, admin: 2 };

/** True where whoever looks may do what the role may. */
export const may = (role: Role): boolean => me.value?.role != null && RANKS[me.value.role] >= RANKS[role];
