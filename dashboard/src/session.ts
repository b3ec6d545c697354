import { signal } from "@preact/signals";
import { Problem } from "./api/call";
import type { Me, Role } from "./api/model";
import { whoAmI } from "./api/routes";

/** Whose dashboard this is: undefined until the server has said it, null where it wants a token. */
export const me = signal<Me | null | undefined>(undefined);

/** Asks who looks. A server that is away is asked again. */
export async function meet(): Promise<void> {
  try {
    me.value = await whoAmI();
  } catch (error) {
    if (error instanceof Problem && error.status === 404) me.value = { role: "admin" }; // DEV
    else if (error instanceof Problem && (error.status === 401 || error.status === 403)) me.value = null;
    else setTimeout(() => void meet(), 1_000);
  }
}

const RANKS: Record<Role, number> = { viewer: 0, operator: 1, admin: 2 };

/** True where whoever looks may do what the role may. */
export const may = (role: Role): boolean => me.value != null && RANKS[me.value.role] >= RANKS[role];
