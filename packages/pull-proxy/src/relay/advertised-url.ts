import { networkInterfaces } from 'node:os'

/**
 * The URL by which other nodes reach what listens here. For a wildcard address that is the machine's first address that
 * is not loopback; on a machine with several networks, say which with `--peer-advertise`.
 */
export function advertisedUrl(listening: string, interfaces = networkInterfaces()): string {
  const url = new URL(listening)
  if (url.hostname !== '0.0.0.0' && url.hostname !== '[::]') return listening
  const outside = Object.values(interfaces)
    .flat()
    .find((address) => address !== undefined && !address.internal && address.family === 'IPv4')
  url.hostname = outside?.address ?? '127.0.0.1'
  return url.origin
}
