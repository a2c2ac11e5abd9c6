import { lookup as resolveByTheSystem } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { OciError } from '../oci/oci-error.ts'
import { isPublicAddress, isPublicName } from './public-address.ts'

export interface AddressGuardOptions {
  /** How names become addresses. Default: as the system does it. */
  readonly resolve?: LookupFunction | undefined
  /** Default: {@link isPublicAddress}. */
  readonly isPublic?: ((address: string) => boolean) | undefined
}

/**
 * Keeps requests to hosts that somebody else has named out of this machine and its network. A name is judged by the
 * addresses that it has when a connection is made, and the connection goes to one of exactly these: a name whose
 * addresses change between a check and a connection (DNS rebinding) gains nothing.
 */
export class AddressGuard {
  readonly #resolve: LookupFunction
  readonly #isPublic: (address: string) => boolean

  constructor({ resolve = resolveByTheSystem, isPublic = isPublicAddress }: AddressGuardOptions = {}) {
    this.#resolve = resolve
    this.#isPublic = isPublic
  }

  /**
   * Judges what a URL itself says. Sockets look up names only: an address that stands in the URL never comes to
   * {@link lookup}.
   *
   * @throws {OciError} `DENIED` for another scheme than https, an address that is not public, and a local name
   */
  check(url: URL): void {
    if (url.protocol !== 'https:') throw new OciError('DENIED', `${url.host} would be asked by plain http`)
    const address = url.hostname.replace(/^\[|\]$/g, '')
    const isPublic = isIP(address) === 0 ? isPublicName(address) : this.#isPublic(address)
    if (!isPublic) throw new OciError('DENIED', `${url.host} is no public host`)
  }

  /** For `net.connect`: gives the public addresses of a name, and fails with `DENIED` when it has none. */
  readonly lookup: LookupFunction = (hostname, options, callback) => {
    this.#resolve(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) return callback(error, [])
      const addresses = (Array.isArray(found) ? found : []).filter(({ address }) => this.#isPublic(address))
      const first = addresses[0]
      if (first === undefined) return callback(new OciError('DENIED', `${hostname} has no public address`), [])
      if (options.all === true) callback(null, addresses)
      else callback(null, first.address, first.family)
    })
  }
}
