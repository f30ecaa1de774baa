/** Finds out, during a search for the holder of an entry, whether the entry was made meanwhile. */
export interface FirstLook {
  /** Reports the answer of a broker at `place` to a question for any; `round` counts the questions so far. */
  brokerAnswered(place: string, round: number): void;
  /** Reports the answer of a holder of the entry. */
  holderAnswered(place: string, round: number): void;
  /** Whether the first holder had answered before, several times without the entry. */
  wasMade(): boolean;
}

/** So many answers of one broker without the entry show that it had none: fewer may be lost datagrams. */
const ROUNDS = 3;

export function takeFirstLook(): FirstLook {
  const since = new Map<string, number>();
  let wasMade: boolean | undefined;
  return {
    brokerAnswered(place, round) {
      if (!since.has(place)) since.set(place, round);
    },
    holderAnswered(place, round) {
      wasMade ??= round - (since.get(place) ?? round) >= ROUNDS;
    },
    wasMade: () => wasMade ?? false,
  };
}
