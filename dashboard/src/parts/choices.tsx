import { To } from "./to";

interface Props<T extends string | number> {
  label: string;
  page: string;
  /** What the address says beside the choice. */
  query: Record<string, string | number | undefined>;
  name: string;
  chosen: T;
  choices: readonly (readonly [T, string])[];
}

/** A few choices, one of which holds. Each is an address. */
export function Choices<T extends string | number>({ label, page, query, name, chosen, choices }: Props<T>) {
  return (
    <nav class="choices" aria-label={label}>
      {choices.map(([value, words]) => (
        <To key={value} page={page} query={{ ...query, [name]: value }} aria-current={value === chosen ? "true" : undefined}>
          {words}
        </To>
      ))}
    </nav>
  );
}
