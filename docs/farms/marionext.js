// SPDX-License-Identifier: Apache-2.0
// A job type of Flamenco 3: put this file into the Manager's `scripts` folder.
// Each task renders one part of a batch (docs/batch.md); all machines see the same files.

const JOB_TYPE = {
    label: "Marionext batch",
    settings: [
        { key: "jobs", type: "string", required: true, subtype: "file_path",
          description: "Job file, table (CSV), matrix (TOML), or a folder of them" },
        { key: "parts", type: "int32", default: 4,
          description: "Tasks that the jobs are divided into" },
        { key: "retry", type: "int32", default: 1,
          description: "How often a job is tried again that a machine could not do" },
        { key: "program", type: "string", default: "marionext", visible: "hidden",
          description: "The program on the workers" },
    ],
};

function compileJob(job) {
    const settings = job.settings;
    for (let part = 1; part <= settings.parts; part++) {
        const task = author.Task(`part ${part} of ${settings.parts}`, "misc");
        task.addCommand(author.Command("exec", {
            exe: settings.program,
            args: ["batch", settings.jobs, "--part", `${part}/${settings.parts}`,
                   "--keep-going", "--skip-existing", "--retry", `${settings.retry}`],
        }));
        job.addTask(task);
    }
}
