import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  createCertificate,
  createImage,
  createLayer,
  digestOfFile,
  type Image,
  type ProxyProcess,
  type RegistryServer,
  requireBinaries,
  runCommand,
  startProxy,
  startRegistryServer,
  temporaryFolder,
} from '@layerlock/test-support'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

/** What `htpasswd -nbBC 4 ann one` writes. */
const ANN = 'ann:$2y$04$ZZiLAkt//3Z/fUOTfFiFjuIdsDOUfk7XjHfeW0en/PVCTFs7rd8lu'

describe.skipIf(!requireBinaries('skopeo', 'openssl').available)('skopeo, by https with certificate and user', () => {
  const parts = new AsyncDisposableStack()
  let folder: string
  /** As skopeo wants it: who is trusted, and the client's own certificate and key. */
  let certificates: string
  let image: Image
  let registry: RegistryServer
  let proxy: ProxyProcess

  beforeAll(async () => {
    folder = parts.use(await temporaryFolder('secure')).path
    certificates = join(folder, 'certificates')
    const [serverFolder, clientFolder] = [join(folder, 'server'), join(folder, 'client')]
    for (const path of [certificates, serverFolder, clientFolder]) await mkdir(path)
    const server = await createCertificate(serverFolder)
    const client = await createCertificate(clientFolder)
    await copyFile(server.certificatePath, join(certificates, 'ca.crt'))
    await copyFile(client.certificatePath, join(certificates, 'client.cert'))
    await writeFile(join(certificates, 'client.key'), client.key)
    await writeFile(join(folder, 'users'), `${ANN}\n`)

    registry = parts.use(await startRegistryServer())
    const layers = [await createLayer({ folder, sizeBytes: 1_000_000, seed: 'secure' })]
    image = await createImage({ folder: join(folder, 'image'), layers })
    registry.contents.addImage(image, { repository: 'library/app', tag: 'latest' })
    const tls = ['--tls-cert', server.certificatePath, '--tls-key', join(serverFolder, 'key.pem')]
    const clients = ['--client-ca', client.certificatePath, '--users-file', join(folder, 'users')]
    proxy = parts.use(
      await startProxy({
        node: 'node-a',
        storeFolder: join(folder, 'store'),
        upstreams: { 'docker.io': registry.url },
        listen: '0.0.0.0:0',
        args: [...tls, ...clients],
      }),
    )
  }, 60_000)
  afterAll(() => parts.disposeAsync())

  beforeEach(() => registry.requests.clear())

  function copy(credentials: string, certificateFolder: string, target: string) {
    const source = `docker://127.0.0.1:${new URL(proxy.url).port}/docker.io/library/app:latest`
    const flags = ['--src-cert-dir', certificateFolder, '--src-creds', credentials]
    return runCommand('skopeo', ['--insecure-policy', 'copy', ...flags, source, `dir:${target}`])
  }

  test('pulls an image', { timeout: 60_000 }, async () => {
    const target = join(folder, 'pulled')
    await copy('ann:one', certificates, target)
    for (const { digest } of image.layers) {
      expect(await digestOfFile(join(target, digest.replace('sha256:', '')))).toBe(digest)
      expect(registry.requests.countOf({ method: 'GET', digest })).toBe(1)
    }
    expect(registry.requests.all.filter(({ authorization }) => authorization)).toEqual([])
  })

  test('is refused with a wrong password, before upstream hears of it', { timeout: 60_000 }, async () => {
    await expect(copy('ann:two', certificates, join(folder, 'refused'))).rejects.toThrow(/unauthorized|401/i)
    expect(registry.requests.countOf()).toBe(0)
  })

  test('is refused without a certificate of its own', { timeout: 60_000 }, async () => {
    const trusting = join(folder, 'trusting')
    await mkdir(trusting)
    await copyFile(join(certificates, 'ca.crt'), join(trusting, 'ca.crt'))
    await expect(copy('ann:one', trusting, join(folder, 'nobody'))).rejects.toThrow(/certificate required|tls/i)
    expect(registry.requests.countOf()).toBe(0)
  })
})
