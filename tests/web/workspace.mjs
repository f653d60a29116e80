// SPDX-License-Identifier: Apache-2.0
// A workspace in which a small manual has become a released model, and its service.
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

// name, section, what it does, more about it
const pages = [
  ["lsof", 8, "list open files", "Lsof lists the files that processes hold open. To see which process holds a file open, name the file. Option \\-p selects a process by its number, and \\-i selects network connections."],
  ["ls", 1, "list directory contents", "List information about the files of the current directory. Entries are sorted by name unless \\-t asks for the time of change. Option \\-a shows names that begin with a dot."],
  ["kill", 1, "send a signal to a process", "The command kill sends the given signal to a process. The default signal is TERM, which asks the process to end. Signal 9 cannot be caught or ignored."],
  ["tar", 1, "an archiving utility", "Tar stores many files together in a single archive, and restores them from it. Create an archive with \\-c, extract with \\-x, list with \\-t. Option \\-z compresses with gzip."],
  ["grep", 1, "print lines that match patterns", "Grep searches files for lines that match a pattern. Option \\-r searches directories, \\-i ignores case, and \\-v inverts the match. Without a file it reads standard input."],
  ["sort", 1, "sort lines of text files", "Write the sorted lines of all files to standard output. Option \\-n compares numbers, \\-r reverses the order, and \\-k names the field to sort by."],
  ["uniq", 1, "report or omit repeated lines", "Filter adjacent matching lines from the input. Option \\-c prefixes lines by the number of occurrences. Sort the input first, since only neighbours are compared."],
  ["find", 1, "search for files in a directory hierarchy", "Find walks a directory tree and evaluates an expression for each file. Tests choose by name, size, owner or time of change, and actions print, delete or run a command."],
  ["chmod", 1, "change file mode bits", "Chmod changes the permissions of each given file. A mode is octal digits or letters for user, group and others. Option \\-R changes directories recursively."],
  ["chown", 1, "change file owner and group", "Chown changes the user and group that own each given file. A colon separates owner from group. Only the superuser may give a file away."],
  ["cp", 1, "copy files and directories", "Copy a source to a destination, or many sources to a directory. Option \\-r copies directories, \\-p keeps mode, owner and times."],
  ["mv", 1, "move or rename files", "Rename a source to a destination, or move sources into a directory. Option \\-n does not overwrite a file that exists."],
  ["rm", 1, "remove files or directories", "Remove each named file. Directories are left alone unless \\-r is given. Option \\-i asks before every removal."],
  ["df", 1, "report file system space usage", "Df shows how much disk space is free on each mounted file system. Option \\-h prints sizes in powers of 1024 that people can read."],
  ["du", 1, "estimate file space usage", "Du summarises the disk usage of files, recursively for directories. Option \\-s shows only a total for each argument."],
  ["ps", 1, "report a snapshot of the current processes", "Ps shows information about a selection of the active processes. Use top for a view that repeats. Option \\-e selects every process."],
  ["top", 1, "display processes and their load", "Top shows a view of a running system that is renewed every few seconds, with the busiest processes first. Press q to leave it."],
  ["mount", 8, "mount a file system", "All files of a Unix system are in one big tree. Mount attaches the file system found on a device to that tree. Umount detaches it again."],
  ["ssh", 1, "remote login client", "Ssh logs into a remote machine and runs commands there. Traffic between the two hosts is encrypted. Option \\-p names the port, \\-i the identity file."],
  ["scp", 1, "secure file copy over the network", "Scp copies files between hosts on a network. It uses ssh for the transfer and asks for passwords if they are needed."],
  ["curl", 1, "transfer a URL", "Curl transfers data from or to a server by a protocol such as HTTP or FTP. Option \\-o names the output file, \\-L follows redirects."],
  ["gzip", 1, "compress or expand files", "Gzip reduces the size of the named files with Lempel-Ziv coding. Each file is replaced by one with the extension .gz. Option \\-d expands it."],
  ["sed", 1, "stream editor for filtering and transforming text", "Sed performs text transformations on an input stream in a single pass. The command s replaces what a pattern matches. Option \\-i edits files in place."],
  ["awk", 1, "pattern scanning and processing language", "Awk splits each input line into fields and runs the actions whose patterns match. Variables hold numbers or strings, and arrays have string subscripts."],
  ["cron", 8, "run scheduled commands", "Cron wakes every minute, examines all stored tables and runs the commands that are due. Each user may have a table of jobs."],
  ["crontab", 5, "tables for driving cron", "A crontab file has a line for each job: five fields of time and a command. A star stands for every value of the field."],
  ["passwd", 1, "change user password", "Passwd changes the password of an account. A user may change only their own; the superuser may change any. Option \\-l locks an account."],
  ["useradd", 8, "create a new user", "Useradd creates a new user account from the values given and the defaults of the system. Option \\-m makes the home directory."],
  ["ip", 8, "show and change routing and network devices", "Ip shows and changes network addresses, links, routes and tunnels. The object address lists the addresses of each interface."],
  ["ping", 8, "send echo requests to network hosts", "Ping asks a host or gateway to echo a packet, and prints the time each one took. Option \\-c stops after a number of packets."],
  ["date", 1, "print or set the system date and time", "Display the current time in the given format, or set the system date. Option \\-u uses Coordinated Universal Time."],
  ["head", 1, "output the first part of files", "Print the first ten lines of each file to standard output. Option \\-n gives another number of lines."],
  ["tail", 1, "output the last part of files", "Print the last ten lines of each file to standard output. Option \\-f waits for more and prints it as the file grows."],
  ["wc", 1, "print newline, word and byte counts", "Print counts of lines, words and bytes for each file, and a total line if there is more than one file."],
  ["diff", 1, "compare files line by line", "Diff finds the lines in which two files differ. Option \\-u shows lines of context around each change, which patch can apply."],
  ["xmark", 7, "dangerous markup in a page", "A dangerous line is <script>window.pwned = 1</script> and another dangerous one is <img src=x onerror=\"window.pwned = 2\"> which a page must show as text &amp; nothing else."],
];

function roff([name, section, summary, text]) {
  return `.TH ${name.toUpperCase()} ${section}\n.SH NAME\n${name} \\- ${summary}\n.SH SYNOPSIS\n.B ${name}\n[option ...] [file ...]\n` +
    `.SH DESCRIPTION\n${text}\n.SH "EXIT STATUS"\nThe program ${name} ends with status 0 when it could ${summary}, and with another status when it could not.\n` +
    `.SH NOTES\nThis page describes ${name} in the words of its own authors. Other systems may have a program of that name that does something else.\n`;
}

const pipeline = `pipeline: manual
steps:
  - {step: data.add, as: docs, options: {paths: [corpus]}}
  - step: data.curate
    as: manual
    in: [docs]
    options: {allow_unknown_licence: true, heldout_frac: 0.1}
  - {step: tokenizer.train, as: tokens, in: [manual], options: {vocab_size: 512}}
  - step: train
    as: manual-moe
    in: [manual, tokens]
    options:
      {n_layer: 2, d_model: 48, n_head: 3, n_kv_head: 1, d_head: 16, d_ff: 96, n_expert: 4, d_expert: 48,
       d_shared: 48, n_ctx: 128, n_seq: 4, n_shard: 4, n_steps: 120, warmup_steps: 10, lr: 0.003,
       aux_coef: 0.01, eval_steps: 20, eval_docs: 4}
  - {step: index, as: passages, in: [manual]}
  - {step: eval, as: figures, in: [manual-moe, manual, passages], options: {unseen_only: false}}
  - {step: gate, as: manual-release, in: [manual-moe, figures, passages], options: {gate: gate.yaml}}
`;
const gate = `gate: manual
require:
  - {figure: heldout.bpb, max: 8}
  - {figure: lexical.recall_at_5, min: 0.5}
`;

export const examples = ["which process holds a file open?", "how do I sort lines by number?",
  "how much disk space is free?", "what is in a line of a crontab?"];

/** Make it all; { dir, remove() }. */
export function makeWorkspace(smelt) {
  const dir = mkdtempSync(join(tmpdir(), "smelt-web-"));
  mkdirSync(join(dir, "corpus"));
  for (const p of pages) writeFileSync(join(dir, "corpus", `${p[0]}.${p[1]}`), roff(p));
  writeFileSync(join(dir, "pipeline.yaml"), pipeline);
  writeFileSync(join(dir, "gate.yaml"), gate);
  const run = (...words) => execFileSync(smelt, words, { cwd: dir, stdio: ["ignore", "ignore", "inherit"] });
  run("init", "-q");
  run("run", "pipeline.yaml", "-q");
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

function stopper(child) {
  return () => new Promise(done => {
    if (child.exitCode !== null || child.signalCode !== null) done(child.exitCode);
    child.once("exit", done);
    child.kill("SIGINT");
  });
}

/** Start a training run that would take very long; { stop() }. */
export function trainOn(smelt, dir) {
  const shape = ["--n-layer", "1", "--d-model", "32", "--n-head", "2", "--n-kv-head", "1", "--d-head", "16",
    "--d-ff", "64", "--n-ctx", "64", "--n-seq", "2", "--n-shard", "2", "--n-steps", "1000000", "--eval-docs", "0"];
  const child = spawn(smelt, ["train", "manual", "tokens", "--as", "long", "-q", ...shape], { cwd: dir, stdio: "ignore" });
  return { stop: stopper(child) };
}

/** Serve the release on a free port; { url, stop() }. */
export function serve(smelt, dir) {
  const words = ["serve", "manual-release", "--port", "0", "--json", "-q", ...examples.flatMap(e => ["--example", e])];
  const child = spawn(smelt, words, { cwd: dir, stdio: ["ignore", "pipe", "inherit"] });
  const stop = stopper(child);
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout.on("data", d => {
      text += d;
      try {
        resolve({ url: `http://127.0.0.1:${JSON.parse(text).port}/`, stop });
      } catch { /* more is to come */ }
    });
    child.once("exit", code => reject(new Error(`smelt serve ended with status ${code}`)));
  });
}
