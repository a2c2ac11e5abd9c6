import { mkdir, writeFile } from 'node:fs/promises'
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
  await writeFile(path, ['unqualified-search-registries = []\n', ...sectionsOf(registries)].join('\n'))
  return path
}

/**
 * Writes the same as a file of its own in `registries.conf.d`, the form in which CRI-O is set up, into a home folder in
 * place of `/etc/containers`: with a `registries.conf` beside it there, the system's files are not read at all.
 */
export async function writeRegistriesDropIn(
  home: string,
  registries: Readonly<Record<string, RegistryMirrors>>,
): Promise<void> {
  const folder = join(home, '.config', 'containers')
  await mkdir(join(folder, 'registries.conf.d'), { recursive: true })
  await writeRegistriesConf(folder, {})
  await writeFile(join(folder, 'registries.conf.d', '50-layerlock.conf'), sectionsOf(registries).join('\n'))
}

function sectionsOf(registries: Readonly<Record<string, RegistryMirrors>>): string[] {
  return Object.entries(registries).flatMap(([prefix, { mirrors, location = '127.0.0.1:1' }]) => [
    `[[registry]]\nprefix = "${prefix}"\nlocation = "${location}"\ninsecure = true\n`,
    ...mirrors.map((mirror) => `[[registry.mirror]]\nlocation = "${mirror}"\ninsecure = true\n`),
  ])
}
