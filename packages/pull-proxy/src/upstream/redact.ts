/** Shorter ones would be found everywhere, and are no secrets. */
const MIN_SECRET_LENGTH = 4
const INSTEAD = '[redacted]'

/** What a request has shown to a server that answers with words of its own. */
export interface Shown {
  /** The values of the `Authorization` headers that were sent. */
  readonly authorizations: readonly string[]
  /** The URL that answered: that of a redirect may be signed. */
  readonly url: URL
}

/**
 * Takes out of a server's words what must go no further: the credentials that it was sent, whole or in parts, the query
 * of the URL that was asked, and whatever else looks like credentials or a signed URL.
 */
export function redact(text: string, shown: Shown): string {
  // The longest first: a part of one that is taken out would hide the rest of it.
  const secrets = secretsOf(shown).toSorted((a, b) => b.length - a.length)
  const known = secrets.reduce((rest, secret) => rest.replaceAll(secret, INSTEAD), text)
  return known
    .replaceAll(/\b(basic|bearer)\s+[\w.~+/=-]+/gi, `$1 ${INSTEAD}`)
    .replaceAll(/(\bhttps?:\/\/)[^\s/@]*@/gi, '$1')
    .replaceAll(/(\bhttps?:\/\/[^\s?#"'<>]+)\?[^\s"'<>]*/gi, `$1?${INSTEAD}`)
}

function secretsOf({ authorizations, url }: Shown): string[] {
  const sent = authorizations.flatMap((header) => {
    const [, scheme = '', credentials = ''] = /^(\S+) +(.*)$/.exec(header) ?? []
    if (scheme.toLowerCase() !== 'basic') return [header, credentials]
    const decoded = Buffer.from(credentials, 'base64').toString()
    return [header, credentials, decoded, decoded.slice(decoded.indexOf(':') + 1)]
  })
  const asked = [url.search.slice(1), ...url.searchParams.values()]
  return [...sent, ...asked]
    .flatMap((secret) => [secret, encodeURIComponent(secret)])
    .filter((secret) => secret.length >= MIN_SECRET_LENGTH)
}
