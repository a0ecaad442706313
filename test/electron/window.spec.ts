import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@playwright/test'
import { callNames } from '#shared/contract/names.ts'
import { currentOwner } from '#main/jobs/owner.ts'
import { openStore } from '#main/store/store.ts'
import {
  sampleArray,
  sampleContainer,
  sampleDeployment,
  sampleHost,
  sampleLun,
  sampleRecipe,
  sampleVolume,
} from '../unit/store/samples.ts'
import { skipReason } from '../support/requirement.ts'
import { environment, executable, missingForElectron, startArguments, withGantry } from './launch.ts'

const reason = skipReason('electron', missingForElectron())
test.skip(reason !== undefined, reason ?? '')

test('U1: the window opens and lists what the core has', async () => {
  await withGantry(async ({ window, complaints, dataDir }) => {
    await expect(window).toHaveTitle('Gantry')
    expect(window.url()).toBe('app://gantry/')
    await expect(window.getByText('No arrays yet.')).toBeVisible()
    await expect(window.getByText('Nothing has been run yet.')).toBeVisible()
    expect(complaints).toEqual([])
    // the window's own files lie with the inventory and nowhere else
    expect(existsSync(join(dataDir, 'window'))).toBe(true)
  })
})

test('U1, U7: an inventory that the command line has filled is shown without asking any device', async () => {
  await withGantry(
    async ({ window, complaints }) => {
      for (const text of ['lab-array', 'lab-host', 'web', 'web-1'])
        await expect(window.getByText(text, { exact: true }).first()).toBeVisible()
      expect(complaints).toEqual([])
    },
    (dataDir) => {
      const store = openStore(join(dataDir, 'gantry.db'))
      store.arrays.put(sampleArray())
      store.volumes.put(sampleVolume())
      store.hosts.put(sampleHost())
      store.containers.put(sampleContainer())
      store.luns.put(sampleLun())
      store.deployments.put(sampleDeployment(), sampleRecipe())
      store.close()
    },
  )
})

test('U6: a job of another process on the same inventory appears by itself', async () => {
  await withGantry(async ({ window, dataDir, complaints }) => {
    await expect(window.getByText('Nothing has been run yet.')).toBeVisible()
    const store = openStore(join(dataDir, 'gantry.db'))
    const step = { id: 'copy', title: 'Copy the VM data', target: 'host h', commands: [], undoCommands: [] }
    store.journal.create({
      id: 'by-the-command-line',
      kind: 'stage',
      title: 'Stage web',
      afterRestart: 'undo',
      plan: {},
      resources: [],
      steps: [step],
      owner: currentOwner(),
    })
    const job = window.getByRole('listitem').filter({ hasText: 'Stage web' })
    await expect(job).toContainText('running')
    await job.getByRole('button', { name: /^Steps and log/ }).click()
    await expect(job).toContainText('to do')
    store.journal.setStepState('by-the-command-line', step.id, 'applying')
    await expect(job).toContainText('at work')
    store.journal.setJobState('by-the-command-line', 'undone')
    await expect(job).toContainText('undone')
    store.close()
    expect(complaints).toEqual([])
  })
})

test('the page has the calls of the contract and nothing of Node or Electron', async () => {
  await withGantry(async ({ window }) => {
    const seen = await window.evaluate(() => {
      const scope = window as unknown as Record<string, unknown> & { gantry: { calls: object } }
      return {
        gantry: Object.keys(scope.gantry),
        calls: Object.keys(scope.gantry.calls),
        node: ['require', 'process', 'module', 'Buffer', 'global', 'ipcRenderer', 'electron'].filter(
          (name) => scope[name] !== undefined,
        ),
      }
    })
    expect(seen).toEqual({ gantry: ['calls', 'on'], calls: [...callNames], node: [] })
  })
})

test('calls answer through the bridge; wrong input is an answer in plain words', async () => {
  await withGantry(async ({ window }) => {
    const answers = await window.evaluate(async () => {
      const { gantry } = window as unknown as {
        gantry: { calls: Record<string, (input: unknown) => Promise<unknown>> }
      }
      return [await gantry.calls['jobs.list']?.({}), await gantry.calls['jobs.get']?.({ jobId: 7 })]
    })
    expect(answers[0]).toEqual({ ok: true, value: [] })
    expect(answers[1]).toMatchObject({
      ok: false,
      error: { code: 'bad-request', message: '"jobId" must be a string' },
    })
  })
})

test('every window is sandboxed, and the policy stops scripts from elsewhere', async () => {
  await withGantry(async ({ app, window }) => {
    const preferences = await app.evaluate(({ webContents }) =>
      webContents.getAllWebContents().map((contents) => {
        const { sandbox, contextIsolation, nodeIntegration, webviewTag } = (
          contents as unknown as { getLastWebPreferences(): Record<string, unknown> }
        ).getLastWebPreferences()
        return { sandbox, contextIsolation, nodeIntegration, webviewTag }
      }),
    )
    expect(preferences).toEqual([
      { sandbox: true, contextIsolation: true, nodeIntegration: false, webviewTag: false },
    ])
    const violations = await window.evaluate(
      () =>
        new Promise<string[]>((resolve) => {
          const seen: string[] = []
          document.addEventListener('securitypolicyviolation', (event) => {
            seen.push(event.effectiveDirective)
            if (seen.length === 2) resolve(seen.toSorted())
          })
          const script = document.createElement('script')
          script.textContent = 'window.ran = true'
          document.head.append(script)
          void fetch('https://example.invalid/').catch(() => undefined)
        }),
    )
    expect(violations).toEqual(['connect-src', 'script-src-elem'])
  })
})

test('the window does not navigate away, open windows or get permissions', async () => {
  await withGantry(async ({ app, window }) => {
    const opened = await window.evaluate(() => globalThis.open('https://example.invalid/') === null)
    expect(opened).toBe(true)
    await window.evaluate(() => {
      location.href = 'https://example.invalid/'
    })
    const permission = await window.evaluate(() => Notification.requestPermission())
    expect(permission).toBe('denied')
    expect(window.url()).toBe('app://gantry/')
    expect(app.windows()).toHaveLength(1)
  })
})

test('a window that is closed while it loads ends the application quietly', async () => {
  await withGantry(async ({ app }) => {
    const ended = once(app.process(), 'exit')
    await app.evaluate(({ app: inMain, BrowserWindow }) => {
      // after the answer to this, which would not arrive any more
      const closeSoon = (window: Electron.BrowserWindow): void => void setTimeout(() => window.close())
      const [window] = BrowserWindow.getAllWindows()
      if (window === undefined) inMain.once('browser-window-created', (_event, created) => closeSoon(created))
      else closeSoon(window)
    })
    expect((await ended)[0]).toBe(0)
  })
})

test('a second start shows the first window instead of opening another core', async () => {
  await withGantry(async ({ app, window, dataDir }) => {
    await expect(window.getByText('No arrays yet.')).toBeVisible()
    await app.evaluate(({ BrowserWindow }) => {
      const [first] = BrowserWindow.getAllWindows()
      first?.minimize()
    })
    const second = spawn(executable, startArguments(), {
      env: { ...environment(), GANTRY_DATA_DIR: dataDir },
      stdio: 'ignore',
    })
    const [code] = (await once(second, 'exit')) as [number | null]
    expect(code).toBe(0)
    await expect
      .poll(() =>
        app.evaluate(({ BrowserWindow }) => BrowserWindow.getAllWindows().map((one) => one.isMinimized())),
      )
      .toEqual([false])
    expect(app.windows()).toHaveLength(1)
  })
})
