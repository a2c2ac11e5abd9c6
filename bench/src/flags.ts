/** A whole number of at least 1; undefined when the flag is absent. @throws Error naming the flag and what would do */
export function positive(flag: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  const number = Number(value)
  if (!Number.isInteger(number) || number < 1) throw new Error(`--${flag}: expected 1 or more, got ${value}`)
  return number
}

/** The names of a flag that may be repeated or list several; all of them when it is absent. @throws Error as above */
export function chosen<Name extends string>(
  flag: string,
  values: string[] | undefined,
  known: readonly Name[],
): Name[] {
  const wanted = values?.flatMap((value) => value.split(','))
  const unknown = wanted?.find((name) => !known.some((each) => each === name))
  if (unknown !== undefined) throw new Error(`--${flag}: expected ${known.join(', ')}, got ${unknown}`)
  return known.filter((name) => wanted === undefined || wanted.includes(name))
}
