import { parseOptions } from '@node-rs/bcrypt'

/** A user's bcrypt hash by the user's name. */
export type Users = ReadonlyMap<string, string>

/** With a cost of 15 each password that is tried takes two seconds of a processor, and twice that with each one more. */
const MAX_COST = 15

/**
 * Reads the lines of an htpasswd file, `user:hash` with bcrypt hashes (`htpasswd -B`). Empty lines and lines that begin
 * with `#` do not count.
 *
 * @throws {RangeError} naming the line, which it does not show, and what is allowed
 */
export function parseUsers(lines: readonly string[]): Users {
  const users = new Map<string, string>()
  for (const [index, text] of lines.entries()) {
    const line = text.trim()
    if (line === '' || line.startsWith('#')) continue
    const [name, hash] = parseLine(line, index + 1)
    if (users.has(name)) throw new RangeError(`line ${index + 1}: its user has a line already; each may have one`)
    users.set(name, hash)
  }
  if (users.size === 0) throw new RangeError('there is no user in it; expected lines such as those of htpasswd -B')
  return users
}

function parseLine(line: string, number: number): [name: string, hash: string] {
  const colon = line.indexOf(':')
  const hash = line.slice(colon + 1)
  if (colon < 1) throw new RangeError(`line ${number}: has no user; expected user:hash`)
  if (costOf(hash) === undefined) {
    throw new RangeError(`line ${number}: its hash is not one of bcrypt; expected what htpasswd -B writes`)
  }
  if (costOf(hash)! > MAX_COST) {
    throw new RangeError(`line ${number}: its hash has a cost of ${costOf(hash)}; expected at most ${MAX_COST}`)
  }
  return [line.slice(0, colon), hash]
}

/** Undefined for what is no bcrypt hash. */
function costOf(hash: string): number | undefined {
  try {
    return parseOptions(hash).cost
  } catch {
    return undefined
  }
}

/** Somebody's hash, of the highest cost: what passwords of unknown users are compared with, so that it takes as long. */
export function costliestOf(users: Users): string {
  return [...users.values()].toSorted((a, b) => costOf(b)! - costOf(a)!)[0]!
}
