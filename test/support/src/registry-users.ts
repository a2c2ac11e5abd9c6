/** Someone with a password, and what they may pull. */
export interface RegistryUser {
  readonly password: string
  /** Repositories that the user may pull from. Default: none. */
  readonly pulls?: readonly string[] | undefined
}

/** Users by name. May be changed at any time; a token that was given out stays good for its time. */
export type RegistryUsers = Map<string, RegistryUser>

/** The `Authorization` header of HTTP basic authentication. */
export function basicAuthorization(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}

/** Name and password of a `Basic` header; undefined where there is none. */
export function parseBasicAuthorization(
  header: string | undefined,
): { readonly user: string; readonly password: string } | undefined {
  const encoded = /^Basic (.+)$/i.exec(header ?? '')?.[1]
  if (encoded === undefined) return undefined
  const text = Buffer.from(encoded, 'base64').toString()
  const colon = text.indexOf(':')
  return colon === -1 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) }
}
