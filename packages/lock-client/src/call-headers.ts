import { VERSION } from './version.ts'

/** Who asks: the client's version, so that a server's log tells old nodes from new ones. */
const USER_AGENT = `layerlock-client/${VERSION}`

/** The headers that all calls have. */
export function callHeaders(token: string | undefined): Readonly<Record<string, string>> {
  return { 'user-agent': USER_AGENT, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }
}
