/** One challenge of a `WWW-Authenticate` header. */
export interface Challenge {
  /** In lower case. */
  readonly scheme: string
  readonly parameters: Readonly<Record<string, string>>
}

/** `name=value` or `name="value"`, with commas and escaped quotes inside the quotes. */
const PARAMETER = /^\s*([!#$%&'*+.^_`|~\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|$)/
const SCHEME = /^[\s,]*([!#$%&'*+.^_`|~\w-]+)(?:\s+|\s*,|$)/

/**
 * Reads all challenges of a `WWW-Authenticate` header (RFC 9110, 11.6.1): several may stand in one header, separated by
 * the same commas that separate their parameters. What cannot be read ends the list.
 */
export function parseChallenges(header: string): Challenge[] {
  const challenges: Challenge[] = []
  let rest = header
  for (;;) {
    const scheme = SCHEME.exec(rest)
    if (scheme === null) return challenges
    rest = rest.slice(scheme[0].length)
    const parameters: Record<string, string> = {}
    for (let match = PARAMETER.exec(rest); match !== null; match = PARAMETER.exec(rest)) {
      const [whole, name = '', quoted, plain = ''] = match
      parameters[name.toLowerCase()] = quoted === undefined ? plain : quoted.replaceAll(/\\(.)/g, '$1')
      rest = rest.slice(whole.length)
    }
    challenges.push({ scheme: scheme[1]!.toLowerCase(), parameters })
  }
}
