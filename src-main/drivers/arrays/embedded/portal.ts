import { once } from 'node:events'
import { createServer } from 'node:net'
import type { EmbeddedConfig } from '#shared/domain/storage.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { parsePortal, type Portal } from '#main/transports/iscsi/portal.ts'

/** Where the array listens. Throws bad-request. */
export function ownPortal(text: string): Portal {
  const { host, port } = parsePortal(text, 0)
  return { host: host === 'localhost' ? '127.0.0.1' : host, port }
}

/** Below the ports that systems give to outgoing connections, which would take it while it is not in use. */
const [firstPort, lastPort] = [13_260, 32_000]
const attempts = 50

/** The configuration with a port that is free now in place of 0; to be done once, before it is stored. */
export async function choosePort(config: EmbeddedConfig): Promise<EmbeddedConfig> {
  const { host, port } = ownPortal(config.settings.portal)
  if (port !== 0) return config
  for (let attempt = 0; attempt < attempts; attempt++) {
    const candidate = firstPort + Math.floor(Math.random() * (lastPort - firstPort))
    if (!(await isFree(host, candidate))) continue
    const portal = config.settings.portal.replace(/:0$/, `:${candidate}`)
    return { ...config, settings: { ...config.settings, portal } }
  }
  throw new AppError('device-rejected', 'No free port was found', {
    object: `array ${config.name}`,
    advice: 'Choose one yourself: --portal 127.0.0.1:PORT.',
  })
}

async function isFree(host: string, port: number): Promise<boolean> {
  const server = createServer()
  try {
    server.listen(port, host)
    await once(server, 'listening')
    return true
  } catch {
    return false
  } finally {
    server.close()
  }
}
