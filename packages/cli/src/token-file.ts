import type { AccessToken, Role } from '@layerlock/server'
import { readInput } from './input-file.ts'
import { UsageError } from './usage-error.ts'

const ROLES: readonly Role[] = ['client', 'operator']

interface TokenLine extends AccessToken {
  readonly line: number
}

/**
 * Reads a file of bearer tokens, one a line, each optionally followed by its role; `client` where there is none. Empty
 * lines and lines that begin with `#` do not count.
 *
 * @throws {UsageError} which shows no token
 */
export function readTokens(setting: string, path: string): AccessToken[] {
  const text = readInput(setting, path)
  const tokens = text.split('\n').flatMap((line, index) => parseLine(setting, path, line.trim(), index + 1))
  if (tokens.length === 0) throw new UsageError(setting, path, 'a file with at least one token in it')
  for (const { token, role, line } of tokens) {
    const other = tokens.find((each) => each.token === token && each.role !== role)
    if (other !== undefined)
      throw new UsageError(setting, `${path}, lines ${line} and ${other.line}`, 'one role a token')
  }
  return tokens.map(({ token, role }) => ({ token, role }))
}

function parseLine(setting: string, path: string, text: string, line: number): TokenLine[] {
  if (text === '' || text.startsWith('#')) return []
  const [token = '', role = 'client', ...rest] = text.split(/\s+/)
  if (!/^[!-~]+$/.test(token) || rest.length > 0) {
    throw new UsageError(setting, `${path}, line ${line}`, 'a token of printable ASCII and, at most, its role')
  }
  if (isRole(role)) return [{ token, role, line }]
  throw new UsageError(setting, `${path}, line ${line}: ${role}`, `the role to be ${ROLES.join(' or ')}`)
}

function isRole(text: string): text is Role {
  return ROLES.some((role) => role === text)
}
