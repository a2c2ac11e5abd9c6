import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Where podman, skopeo and buildah pull what belongs to one registry. */
export interface RegistryMirrors {
  /** `host:port` with an optional path prefix, e.g. `127.0.0.1:5050/docker.io`, asked in this order. */
  readonly mirrors: readonly string[]
  /** The registry itself, asked last. Default `127.0.0.1:1`, where nobody listens. */
  readonly location?: string | undefined
}

/**
 * Writes a `registries.conf` and returns its path. All locations are taken as insecure (plain HTTP).
 *
 * @param registries by prefix, e.g. `docker.io`
 */
export async function writeRegistriesConf(
  folder: string,
  registries: Readonly<Record<string, RegistryMirrors>>,
): Promise<string> {
  const path = join(folder, 'registries.conf')
  const sections = Object.entries(registries).flatMap(([prefix, { mirrors, location = '127.0.0.1:1' }]) => [
    `[[registry]]\nprefix = "${prefix}"\nlocation = "${location}"\ninsecure = true\n`,
    ...mirrors.map((mirror) => `[[registry.mirror]]\nlocation = "${mirror}"\ninsecure = true\n`),
  ])
  await writeFile(path, ['unqualified-search-registries = []\n', ...sections].join('\n'))
  return path
}
