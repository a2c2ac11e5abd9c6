/**
 * The least that Node needs to serve files over HTTP: what a registry in Node can hardly beat. Each response reads its
 * file into two buffers of 1 MiB in turn; small files are kept in memory. Argument: a folder of files named by digest.
 */
import { open, readFile, stat } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

const BUFFER_BYTES = 1024 * 1024
const SMALL_BYTES = 64 * 1024

const folder = process.argv[2]!
const small = new Map<string, Buffer>()

const server = createServer((request, response) => {
  const name = /sha256:([a-f0-9]{64})$/.exec(request.url ?? '')?.[1] ?? ''
  const kept = small.get(name)
  if (kept === undefined) send(response, name).catch(() => response.destroy())
  else response.writeHead(200, { 'content-length': kept.length }).end(kept)
})
server.keepAliveTimeout = 65_000
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}\n`)
})

async function send(response: ServerResponse, name: string): Promise<void> {
  const path = join(folder, name)
  const { size } = await stat(path)
  response.writeHead(200, { 'content-length': size })
  if (size <= SMALL_BYTES) {
    const bytes = await readFile(path)
    small.set(name, bytes)
    response.end(bytes)
    return
  }
  await using file = await open(path)
  const buffers = [Buffer.allocUnsafeSlow(BUFFER_BYTES), Buffer.allocUnsafeSlow(BUFFER_BYTES)] as const
  const gone = new Promise<never>((_resolve, reject) => response.once('close', () => reject(new Error('gone'))))
  gone.catch(() => undefined)
  let writing: Promise<unknown> | undefined
  for (let position = 0, turn = 0; position < size; turn ^= 1) {
    const { bytesRead, buffer } = await file.read(buffers[turn as 0 | 1], 0, BUFFER_BYTES, position)
    position += bytesRead
    await Promise.race([writing, gone])
    writing = new Promise((resolve) => response.write(buffer.subarray(0, bytesRead), resolve))
  }
  await Promise.race([writing, gone])
  response.end()
}
