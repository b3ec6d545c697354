import { createContext, createElement, type ReactNode, useContext } from "react";
import { Longhaul } from "@longhaul/client";

const Client = createContext<Longhaul | undefined>(undefined);
let standard: Longhaul | undefined;

/** Gives a client to the hooks below it. */
export function LonghaulProvider({ client, children }: { client: Longhaul; children?: ReactNode }): ReactNode {
  return createElement(Client.Provider, { value: client }, children);
}

/** The client: that of the nearest provider, else one of the server that the page came from. */
export function useLonghaul(): Longhaul {
  return useContext(Client) ?? (standard ??= new Longhaul({ url: "" }));
}
