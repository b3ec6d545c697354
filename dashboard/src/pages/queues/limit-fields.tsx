import type { KeyLimits } from "../../api/model";

/** The numbers of the fields; NaN where one is empty. */
export type LimitNumbers = Record<"slots" | "n" | "per" | "burst", number>;

/** Slots and a rate as the fields have them. */
export function numbersOf(of: { slots: number | null; rate: { n: number; per: number; burst: number } | null } | undefined): LimitNumbers {
  const { n = NaN, per = NaN, burst = NaN } = of?.rate ?? {};
  return { slots: of?.slots ?? NaN, n, per, burst };
}

/** The limits that are there. */
export function limitsOf({ slots, n, per, burst }: LimitNumbers): Pick<KeyLimits, "slots" | "rate"> {
  return { ...given({ slots }), ...(hasRate({ n, per, burst }) && { rate: { n, per, ...given({ burst }) } }) };
}

/** The words of a command for them. */
export function limitWords({ slots, n, per, burst }: LimitNumbers): string[] {
  return [
    ...(Number.isNaN(slots) ? [] : ["--slots", String(slots)]),
    ...(hasRate({ n, per, burst }) ? ["--rate", `${n}/${per}s`] : []),
    ...(Number.isNaN(burst) ? [] : ["--burst", String(burst)]),
  ];
}

/** The fields of slots and a rate. */
export function LimitFields({ numbers, onChange }: { numbers: LimitNumbers; onChange: (numbers: LimitNumbers) => void }) {
  const { n } = numbers;
  const field = (of: keyof LimitNumbers) => ({ value: numbers[of], onChange: (value: number) => onChange({ ...numbers, [of]: value }) });
  const required = hasRate(numbers);
  return (
    <>
      <NumberField label="Slots: the most that run at a time" max={1_000_000} {...field("slots")} />
      <NumberField label="Rate: the most that start …" max={1_000_000} required={required} {...field("n")} />
      <NumberField label="… in so many seconds" min={0.001} max={2_678_400} step="any" required={required} {...field("per")} />
      <NumberField label="Burst: the most at once after a rest" max={1_000_000} placeholder={Number.isNaN(n) ? "a tenth" : String(Math.ceil(n / 10))} {...field("burst")} />
    </>
  );
}

interface NumberProps {
  label: string;
  value: number;
  min?: number;
  max: number;
  step?: 1 | "any";
  required?: boolean;
  placeholder?: string;
  onChange: (value: number) => void;
}

/** A number, or nothing, which is NaN. */
export function NumberField({ label, value, min = 1, step = 1, onChange, ...bounds }: NumberProps) {
  return (
    <label class="field">
      {label}
      <input type="number" min={min} step={step} {...bounds} value={Number.isNaN(value) ? "" : value} onInput={({ currentTarget }) => onChange(currentTarget.valueAsNumber)} />
    </label>
  );
}

/** The numbers that are there. */
export function given<N extends string>(numbers: Record<N, number>): Partial<Record<N, number>> {
  return Object.fromEntries(Object.entries<number>(numbers).filter(([, number]) => !Number.isNaN(number))) as Partial<Record<N, number>>;
}

function hasRate(numbers: Omit<LimitNumbers, "slots">): boolean {
  return [numbers.n, numbers.per, numbers.burst].some((number) => !Number.isNaN(number));
}
