"""Tables, matrices and folders become jobs, or say what is wrong before anything starts."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from marionext.batch import list_shots, ordered, refused
from marionext.cli import main
from marionext.jobs import RenderJob

HEAD = "motion;character;out;frames;settings.width;seed"


def jobs_of(path: Path) -> dict[str, RenderJob]:
    listing = list_shots([path])
    assert not listing.problems, listing.problems[0].error
    found = {}
    for shot in listing.shots:
        assert isinstance(shot.job, RenderJob)
        found[shot.name] = shot.job
    return found


@pytest.fixture
def poses(tmp_path: Path, track_file: Path) -> Path:
    """A folder of two motions."""
    folder = tmp_path / "poses"
    folder.mkdir()
    for name in ("wave10.npz", "wave9.npz"):
        shutil.copy(track_file, folder / name)
    (folder / "notes.txt").write_text("no motion")
    return folder


@pytest.fixture
def heroes(tmp_path: Path, character_file: Path) -> Path:
    """A folder of two characters, with what lies beside them."""
    folder = tmp_path / "heroes"
    folder.mkdir()
    for name in ("anna", "ben"):
        shutil.copy(character_file, folder / f"{name}.png")
        shutil.copy(character_file.with_suffix(".pose.npz"), folder / f"{name}.pose.npz")
    shutil.copy(character_file, folder / "ben.mask.png")
    return folder


def test_a_matrix_is_every_motion_with_every_character_and_seed(
    tmp_path: Path, poses: Path, heroes: Path
) -> None:
    matrix = tmp_path / "night.toml"
    matrix.write_text(
        'out = "r/{shot}/{character}_{seed}"\n'
        '[matrix]\nmotion = "poses"\ncharacter = ["heroes/*.png"]\nseed = [3, 4]\n'
        '[job]\nmodel = "puppet"\nquality = "draft"\nframes = "101-103"\n'
        "[job.settings]\nsteps = 2\n"
    )
    jobs = jobs_of(matrix)
    assert list(jobs) == [
        f"r/{shot}/{character}_{seed}"
        for shot in ("wave9", "wave10")
        for character in ("anna", "ben")
        for seed in (3, 4)
    ]
    job = jobs["r/wave10/ben_4"]
    assert job.motion.path == str(poses / "wave10.npz")
    assert job.character == str(heroes / "ben.png")
    assert (job.settings.kind, job.quality, job.frames) == ("svd", "draft", "101-103")
    assert (job.settings.seed, job.settings.steps) == (4, 2)
    assert job.output.directory == str(tmp_path / "r" / "wave10" / "ben_4")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('out = "{who}"\n[matrix]\nmotion="poses"\ncharacter="heroes"', "{who}"),
        ('out = "x"\n[matrix]\nmotion="no*"\ncharacter="heroes"', "finds nothing"),
        ('out = "x"\n[matrix]\nmotion="poses"', "'character'"),
        ('out = "x"\nmotions = 1\n[matrix]\nmotion="poses"\ncharacter="heroes"', "'motions'"),
        ('out = "{stepz}"\n[matrix]\nmotion="poses"\ncharacter="heroes"\nstepz=[1]', "'stepz'"),
        ('out = "{seed}"\n[matrix]\nmotion="poses"\ncharacter="heroes"\nseed=[1]', "'seed'"),
        ('out = "{x}"\n[matrix]\nmotion="poses"\ncharacter="heroes"\nx=["../up"]', "file name"),
        ('out = "x"\n[matrix]\nmotion=[]\ncharacter="heroes"', "got none"),
        ("out = 3", "expected text"),
        ("out = ", "not a TOML file"),
    ],
)
def test_a_matrix_that_is_wrong_says_where(
    tmp_path: Path, poses: Path, heroes: Path, text: str, words: str
) -> None:
    matrix = tmp_path / "night.toml"
    matrix.write_text(text)
    problems = list_shots([matrix]).problems
    assert problems
    assert words in str(problems[0].error)
    assert "night.toml" in str(problems[0].error)


def test_axes_that_make_a_million_jobs_are_refused_before_any_is_made(
    tmp_path: Path, poses: Path, heroes: Path
) -> None:
    numbers = f"[{','.join(map(str, range(1000)))}]"
    matrix = tmp_path / "night.toml"
    matrix.write_text(
        f'out = "x"\n[matrix]\nmotion="poses"\ncharacter="heroes"\nseed={numbers}\nsteps={numbers}'
    )
    assert "4,000,000" in str(list_shots([matrix]).problems[0].error)


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (HEAD + '\r\nwave.npz;hero.png;"out/{shot};1";101-102;64;\r\n', "utf-8-sig"),
        (HEAD.replace(";", "\t") + "\nwave.npz\thero.png\tout/{shot};1\t101-102\t64\t\n", "utf-16"),
        (HEAD.replace(";", ",") + ",\nwave.npz,hero.png,out/{shot};1,101-102,64,,\n,,\n", "utf-8"),
        (
            "sep=|\n" + HEAD.replace(";", "|") + "\nwave.npz|hero.png|out/wave;1|101-102|64|",
            "utf-8",
        ),
    ],
    ids=["excel", "unicode text", "commas", "sep"],
)
def test_a_table_is_read_as_spreadsheets_write_it(
    tmp_path: Path, track_file: Path, character_file: Path, content: str, encoding: str
) -> None:
    table = tmp_path / "shots.csv"
    table.write_bytes(content.encode(encoding))
    jobs = jobs_of(table)
    assert list(jobs) == ["out/wave;1"]
    job = jobs["out/wave;1"]
    assert (job.frames, job.settings.width, job.character) == ("101-102", 64, str(character_file))


def test_cells_become_what_the_part_of_the_job_holds(
    tmp_path: Path, track_file: Path, character_file: Path
) -> None:
    table = tmp_path / "shots.csv"
    table.write_text(
        "shot;motion;character;out;model;seed;videos;output.side_by_side;motion.camera.yaw;person\n"
        "one;wave.npz;hero.png;o/{shot}_{character}_{seed};puppet;07;mp4 gif;yes;-12,5;#2\n"
    )
    (name, job), *_ = jobs_of(table).items()
    assert name == "o/one_hero_07"
    assert job.settings.kind == "svd"
    assert job.settings.seed == 7
    assert job.output.videos == ("mp4", "gif")
    assert job.output.side_by_side
    assert job.motion.camera.yaw == -12.5
    assert job.motion.person == "#2"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("motion,out\na,b", "character is missing"),
        ("motion,character,out,out\n", "twice"),
        ("motion,character,out\nwave.npz,hero.png,out,more", "line 2: expected 3 cells, got 4"),
        ("motion,character,out,stepz\nwave.npz,hero.png,out,1", "unknown key 'stepz'"),
        ("motion,character,out,seed\nwave.npz,hero.png,out,1", "unknown key 'seed'"),
        ("motion,character,out,settings.width\nwave.npz,hero.png,out,wide", "a whole number"),
        ('motion,character,out\n"wave.npz,hero.png,out', "not a table"),
        ("motion,character,out\nwave.npz,hero.png,{who}", "{who}"),
        ("", "first row"),
    ],
)
def test_a_table_that_is_wrong_says_where(
    tmp_path: Path, track_file: Path, character_file: Path, text: str, words: str
) -> None:
    table = tmp_path / "shots.csv"
    table.write_text(text)
    problems = list_shots([table]).problems
    assert problems
    assert words in str(problems[0].error)
    assert "shots.csv" in str(problems[0].error)


def test_a_table_in_an_old_encoding_says_how_to_save_it(tmp_path: Path) -> None:
    table = tmp_path / "shots.csv"
    table.write_bytes("motion;character;out\nmädchen.mp4;b;c".encode("cp1252"))
    error = list_shots([table]).problems[0].error
    assert "UTF-8" in str(error)


def test_a_folder_is_searched_for_jobs_and_other_files_are_left_out(
    tmp_path: Path, write_job, track_file: Path
) -> None:
    folder = tmp_path / "evening"
    (folder / "scene" / "01").mkdir(parents=True)
    shutil.move(write_job("a"), folder / "a.json")
    shutil.copy(folder / "a.json", folder / "scene" / "01" / "job.json")
    (folder / "poses.json").write_text(json.dumps([{"people": []}]))
    (folder / "render.json").write_text("{}")
    listing = list_shots([folder])
    sources = [os.path.relpath(shot.source, folder) for shot in listing.shots]
    assert sources == ["a.json", str(Path("scene", "01", "job.json"))]
    shutil.rmtree(folder / "scene")
    (folder / "a.json").unlink()
    assert "there are none" in str(list_shots([folder]).problems[0].error)


def test_two_jobs_with_one_result_are_refused_wherever_links_lead(
    tmp_path: Path, write_job
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "same").symlink_to(tmp_path / "out")
    jobs = [write_job("a"), write_job("b", output={"directory": "same/a"})]
    problems = refused(list_shots(jobs).shots)
    assert [problem.source for problem in problems] == [str(jobs[1])]
    assert str(jobs[0]) in problems[0].error.message


def test_results_outside_of_the_root_are_refused_unless_allowed(
    tmp_path: Path, write_job, capsys: pytest.CaptureFixture[str]
) -> None:
    inner = tmp_path / "jobs"
    inner.mkdir()
    job = Path(shutil.move(write_job("a", output={"directory": str(tmp_path / "away")}), inner))
    assert main(["batch", str(job)]) == 1
    assert "--allow-outside" in capsys.readouterr().err
    assert not (tmp_path / "away").exists()
    (inner / "link").symlink_to(tmp_path)
    job.write_text(job.read_text().replace(str(tmp_path / "away"), str(inner / "link" / "away")))
    assert main(["batch", str(job)]) == 1
    assert main(["batch", str(job), "--root", str(tmp_path), "--dry-run"]) == 0
    assert main(["batch", str(job), "--allow-outside", "--frames", "101"]) == 0
    assert (tmp_path / "away" / "frames" / "000101.png").is_file()


def test_nothing_starts_where_one_job_cannot_unless_the_others_are_to_go_on(
    tmp_path: Path, write_job, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [str(write_job("a", frames="101")), str(write_job("b", character="gone.png"))]
    assert main(["batch", *jobs]) == 3
    assert "gone.png" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main(["batch", *jobs, "--keep-going"]) == 6
    assert (tmp_path / "out" / "a" / "a.mp4").exists() or (tmp_path / "out" / "a").is_dir()


def test_each_model_is_loaded_once_and_takes_follow_their_render(write_job) -> None:
    jobs = [
        write_job("a"),
        write_job("b", model="puppet"),
        write_job("c"),
        write_job("d", model="puppet", settings={"parity": True}),
        write_job("e", model="puppet"),
        write_job("f", again="101", output={"directory": "out/a"}),
    ]
    take = jobs[0].with_name("g.json")
    take.write_text(json.dumps({"kind": "take", "directory": "out/b", "take": 0}))
    shots = list_shots([take.with_name(f"{name}.json") for name in "abcdefg"]).shots
    assert [Path(shot.source).stem for shot in ordered(shots)] == list("acfbegd")


@pytest.mark.skipif(sys.platform == "win32", reason="has no such names")
def test_names_that_are_no_text_do_not_stop_a_listing(tmp_path: Path, write_job) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    job = Path(shutil.move(write_job("a"), folder))
    assert len(list_shots([job]).shots) == 1
