import { Problem } from "../api/call";

/** The trouble with the last reading. What was read before stays on the page. */
export function Trouble({ error }: { error: Error | undefined }) {
  if (error === undefined) return null;
  const isForbidden = error instanceof Problem && error.status === 403;
  return (
    <p class="trouble" role="alert">
      {isForbidden ? "Your role may not see this." : error.message}
    </p>
  );
}
