import type { CredentialOptions } from '../upstream-options.ts'
import { CredentialHelpers, type HelperOptions, isHelperName } from './credential-helper.ts'
import type { CredentialSource } from './credential-source.ts'
import { DockerConfigCredentials } from './docker-config.ts'
import { readSecretFile } from './secret-file.ts'
import { helperServer, serverNames } from './server-names.ts'

/**
 * Makes the source of an upstream's credentials. Nothing is read or run before credentials are wanted.
 *
 * @param registryName the upstream's name, such as `docker.io`
 * @param registryHost the host of its URL, with the port if it has one, such as `registry-1.docker.io`
 * @throws TypeError when a helper's name is none
 */
export function createCredentialSource(
  options: CredentialOptions,
  registryName: string,
  registryHost: string,
  helperOptions: HelperOptions = {},
): CredentialSource {
  const servers = serverNames(registryName, registryHost)
  switch (options.kind) {
    case 'password': {
      const { username, password } = options
      return { get: () => Promise.resolve({ kind: 'basic', username, password }) }
    }
    case 'passwordFile': {
      const { username, path } = options
      return {
        get: async ({ signal }) => ({ kind: 'basic', username, password: await readSecretFile(path, signal) }),
      }
    }
    case 'tokenFile': {
      return {
        get: async ({ signal }) => ({ kind: 'identityToken', token: await readSecretFile(options.path, signal) }),
      }
    }
    case 'dockerConfig': {
      return new DockerConfigCredentials({ path: options.path, servers, helpers: new CredentialHelpers(helperOptions) })
    }
    case 'helper': {
      const { name } = options
      if (!isHelperName(name)) {
        throw new TypeError(`a credential helper's name has letters, digits, ".", "_" and "-"; this is none: ${name}`)
      }
      const helpers = new CredentialHelpers(helperOptions)
      return { get: (request) => helpers.get(name, helperServer(servers[0]!), request) }
    }
  }
}
