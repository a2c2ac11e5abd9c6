import { randomBytes } from 'node:crypto'
import type { ProxyOptions } from '../proxy-options.ts'

/**
 * The token that the peer API wants: the cluster's. Where there is no lock server no other node knows of this one, so
 * nobody needs to have it: it is a random one. Undefined lets everyone in.
 *
 * @throws {TypeError} when it is missing, and everyone who reaches the peer API would get what not everyone may read
 */
export function peerToken(options: ProxyOptions): string | undefined {
  const { clusterToken, lockServer } = options
  if (clusterToken !== undefined) return clusterToken
  if (lockServer === undefined) return randomBytes(32).toString('base64url')
  const reason = readersAreLimitedBy(options)
  if (reason === undefined) return undefined
  throw new TypeError(`clusterToken: is missing; without it the peer API gives to everyone what ${reason} keeps back`)
}

/** What keeps some who reach the proxy from reading all that it has; undefined when nothing does. */
export function readersAreLimitedBy({
  upstreams,
  users,
  tls,
}: Pick<ProxyOptions, 'upstreams' | 'users' | 'tls'>): string | undefined {
  const passthrough = upstreams.find(({ auth }) => auth === 'passthrough')
  if (passthrough !== undefined) return `auth = passthrough of the upstream ${passthrough.name}`
  if (users !== undefined) return 'the list of users'
  return tls?.clientCa === undefined ? undefined : 'clientCa'
}
