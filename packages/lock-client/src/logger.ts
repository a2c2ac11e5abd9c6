/** What the client tells of itself: pino, console and most others fit. */
export interface Logger {
  debug(context: object, message: string): void
  warn(context: object, message: string): void
}

export const silentLogger: Logger = { debug: () => undefined, warn: () => undefined }
