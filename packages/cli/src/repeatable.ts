import type { Option } from 'commander'

/**
 * Lets a flag be given several times, for a list. Commander's own lists (`<value...>`) take whatever comes after the first
 * value for another one.
 */
export function repeatable(option: Option): Option {
  return option.argParser(collect)
}

/** Whether a flag can be given several times. */
export function isRepeatable(option: Option): boolean {
  return option.parseArg === collect
}

function collect(value: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, value]
}
