import { runSeed } from "./run-seed.ts";
const [from, n, show] = process.argv.slice(2).map(Number);
const t0 = performance.now(); let steps=0, reqs=0, kills=0; const conv:number[]=[]; let bad=0; const kinds=new Map<string,number>();
for (let s = from; s < from + n; s++) {
  const r = await runSeed(s);
  steps+=r.steps; reqs+=r.requests; kills+=r.kills; conv.push(...r.convergedMs);
  if (r.findings.length) { bad++; for (const f of r.findings) { const k=f.invariant+" "+f.what.slice(0,110); console.log(`seed ${s}: ${(f.atMs/1000).toFixed(1)} ${k}`);} }
  if (show) console.log(r.trace.join("\n"));
}
const cpu=process.cpuUsage(); const ms=(cpu.user+cpu.system)/1000; conv.sort((a,b)=>a-b);
console.log(`${n} seeds, ${bad} bad, ${(ms/n).toFixed(1)} ms each, steps ${steps/n|0}, reqs ${reqs/n|0}, kills ${kills}, conv p50 ${conv[conv.length>>1]} p99 ${conv[conv.length*0.99|0]} max ${conv.at(-1)}`);
process.exit(0);
