import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Where nobody listens: what is sent there fails at once. */
export const unroutableUrl = 'http://127.0.0.1:1'

/** From where containerd pulls what belongs to one registry. */
export interface NamespaceHosts {
  /** URLs, asked in this order. */
  readonly mirrors: readonly string[]
  /** The registry itself, asked last. Default: {@link unroutableUrl}, so that nothing gets past the mirrors unseen. */
  readonly server?: string | undefined
}

/**
 * Writes containerd's `certs.d` folder, one `hosts.toml` for each registry, and returns its path for `--hosts-dir`.
 *
 * @param namespaces by the host part of image references, e.g. `docker.io` or `127.0.0.1:5000`
 */
export async function writeHostsFolder(
  folder: string,
  namespaces: Readonly<Record<string, NamespaceHosts>>,
): Promise<string> {
  for (const [namespace, { mirrors, server = unroutableUrl }] of Object.entries(namespaces)) {
    // containerd 1.6 discards a file without any host.
    const asked = mirrors.length > 0 ? mirrors : [server]
    const hosts = asked.map((url) => `[host."${url}"]\n  capabilities = ["pull", "resolve"]\n  skip_verify = true\n`)
    await mkdir(join(folder, namespace), { recursive: true })
    await writeFile(join(folder, namespace, 'hosts.toml'), [`server = "${server}"\n`, ...hosts].join('\n'))
  }
  return folder
}
