import { OciError } from '../oci/oci-error.ts'

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** What another host may be told. All else can be a secret, or be refused there as S3 refuses a second authorization. */
const FOR_OTHER_HOSTS: ReadonlySet<string> = new Set(['accept', 'if-range', 'range'])

/** An answer, as far as it says where to go on. */
export interface RedirectAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** Who answered. */
  readonly url: URL
}

/**
 * Where an answer redirects to, without user and password; undefined when it is no redirect.
 *
 * @throws {OciError} `UNKNOWN` when it leads to something that is no http URL, or from https to http unless that is allowed
 */
export function redirectTarget({ status, headers, url }: RedirectAnswer, allowPlain: boolean): URL | undefined {
  const location = headers['location']
  if (!REDIRECTS.has(status) || location === undefined) return undefined
  const target = URL.parse(location, url.href)
  if (target === null || !/^https?:$/.test(target.protocol)) {
    throw new OciError('UNKNOWN', `${url.host} redirects to something that is no http URL`)
  }
  if (url.protocol === 'https:' && target.protocol === 'http:' && !allowPlain) {
    throw new OciError('UNKNOWN', `${url.host} redirects from https to http`)
  }
  target.username = ''
  target.password = ''
  target.hash = ''
  return target
}

/** The headers that go to a redirect's target: all of them to the same scheme, host and port only. */
export function redirectedHeaders(
  headers: Readonly<Record<string, string>>,
  { from, to }: { readonly from: URL; readonly to: URL },
): Readonly<Record<string, string>> {
  if (from.origin === to.origin) return headers
  return Object.fromEntries(Object.entries(headers).filter(([name]) => FOR_OTHER_HOSTS.has(name.toLowerCase())))
}
