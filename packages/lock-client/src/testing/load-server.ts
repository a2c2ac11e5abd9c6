import type * as Server from '@layerlock/server'

type ServerPackage = typeof Server

/**
 * Loads the server, which is an optional peer: only tests need it.
 *
 * @throws {Error} saying what to install when it is not there
 */
export async function loadServer(
  load: () => Promise<ServerPackage> = () => import('@layerlock/server'),
): Promise<ServerPackage> {
  try {
    return await load()
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || error.code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new Error('@layerlock/client/testing needs @layerlock/server: install it as a development dependency', {
      cause: error,
    })
  }
}
