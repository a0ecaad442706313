import { existsSync } from 'node:fs'
import { chromium, test as base } from '@playwright/test'
import type { Browser, Page } from '@playwright/test'
import { callNames } from '#shared/contract/names.ts'
import { createFakeCore } from '../support/fake-core.ts'
import type { FakeCore } from '../support/fake-core.ts'
import { skipReason } from '../support/requirement.ts'
import { startPageServer } from './page-server.ts'
import type { PageServer } from './page-server.ts'

const executablePath = process.env['GANTRY_CHROMIUM'] ?? '/usr/bin/chromium'

export interface OpenOptions {
  readonly core?: FakeCore
  readonly colorScheme?: 'light' | 'dark'
  readonly contrast?: 'more' | 'no-preference'
  readonly forcedColors?: 'active' | 'none'
  readonly width?: number
  /** Names of calls that fail. */
  readonly failing?: ReadonlySet<string>
  /** Without a bridge: the page in an ordinary browser. */
  readonly unconnected?: boolean
}

export interface OpenedPage {
  readonly page: Page
  readonly core: FakeCore
  /** Violations of the policy and messages of the console at level error. */
  readonly complaints: string[]
}

interface Workshop {
  readonly browser: Browser
  readonly server: PageServer
}

export const test = base.extend<
  { open: (options?: OpenOptions) => Promise<OpenedPage> },
  { workshop: Workshop }
>({
  workshop: [
    // Playwright reads the fixtures that are needed from this pattern: none
    // eslint-disable-next-line no-empty-pattern
    async ({}, use) => {
      const missing = !existsSync(executablePath)
        ? `there is no Chromium at ${executablePath}`
        : existsSync('out/renderer/index.html')
          ? undefined
          : 'the page is not built (npm run build)'
      const reason = skipReason('browser', missing)
      base.skip(reason !== undefined, reason)
      const args = process.getuid?.() === 0 ? ['--no-sandbox'] : []
      const browser = await chromium.launch({ executablePath, args })
      const server = await startPageServer()
      await use({ browser, server })
      await server.close()
      await browser.close()
    },
    { scope: 'worker' },
  ],
  open: async ({ workshop }, use) => {
    const closers: (() => Promise<void>)[] = []
    await use(async (options = {}) => {
      const context = await workshop.browser.newContext({
        viewport: { width: options.width ?? 1280, height: 820 },
        colorScheme: options.colorScheme ?? 'light',
        contrast: options.contrast ?? 'no-preference',
        forcedColors: options.forcedColors ?? 'none',
        locale: 'en-GB',
        timezoneId: 'UTC',
      })
      closers.push(() => context.close())
      const page = await context.newPage()
      const opened = { page, core: options.core ?? createFakeCore(), complaints: [] as string[] }
      await watchComplaints(opened)
      if (options.unconnected !== true) await connect(opened, options.failing ?? new Set())
      await page.goto(workshop.server.url)
      return opened
    })
    for (const close of closers) await close()
  },
})

async function watchComplaints({ page, complaints }: OpenedPage): Promise<void> {
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(error.message))
  await page.exposeFunction('reportViolation', (text: string) => complaints.push(text))
  await page.addInitScript(() => {
    const { reportViolation } = window as unknown as { reportViolation: (text: string) => void }
    document.addEventListener('securitypolicyviolation', (event) =>
      reportViolation(`policy: ${event.violatedDirective} ${event.blockedURI}`),
    )
  })
}

/** `window.gantry` over the real api, as the preload makes it. */
async function connect({ page, core }: OpenedPage, failing: ReadonlySet<string>): Promise<void> {
  await page.exposeFunction('callCore', (name: string, input: unknown) =>
    failing.has(name)
      ? {
          ok: false,
          error: {
            code: 'busy',
            message: 'The inventory is being rewritten',
            object: 'inventory',
            effect: 'none',
            facts: { holder: 'another console' },
            causes: [],
          },
        }
      : core.api.call(name, input),
  )
  await page.addInitScript((names: readonly string[]) => {
    type Listener = (payload: unknown) => void
    const listeners = new Map<string, Set<Listener>>()
    const scope = window as unknown as {
      callCore: (name: string, input: unknown) => Promise<unknown>
      gantry: unknown
      emitFromCore: (event: { name: string; payload: unknown }) => void
    }
    scope.emitFromCore = ({ name, payload }) => {
      for (const listener of listeners.get(name) ?? []) listener(payload)
    }
    scope.gantry = {
      calls: Object.fromEntries(names.map((name) => [name, (input: unknown) => scope.callCore(name, input)])),
      on(name: string, listener: Listener) {
        const set = listeners.get(name) ?? new Set()
        listeners.set(name, set.add(listener))
        return () => set.delete(listener)
      },
    }
  }, callNames)
  const stop = core.api.on((event) => {
    page
      .evaluate((sent) => {
        const { emitFromCore } = window as unknown as { emitFromCore: (event: unknown) => void }
        emitFromCore(sent)
      }, event)
      // the page is gone before its core
      .catch(() => undefined)
  })
  page.on('close', stop)
}
