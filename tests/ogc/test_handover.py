"""Does a data query that is not waited for become one job, and its data what the same query would have answered?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import orjson
import pytest

from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import InvalidQueryError, NoDataError, TooLargeError
from plugins.datacube.library import Library
from plugins.datacube.limits import Limits
from plugins.jobs.job import Failure, Job, State
from plugins.jobs.results import Results
from plugins.jobs.store import JobStore
from plugins.processes.context import ProcessContext
from plugins.processes.registry import execute
from server.ogc.handover import Handover, answer_status, pause
from server.ogc.jobs import JobService, job_dismiss, job_list, job_status

ASYNC = {"prefer": "respond-async"}
BOX = "bbox=-5,-5,5,5&parameter-name=tas"
STRICT = Limits(values=10)


@dataclass(frozen=True)
class Office:
    """A site whose large answers become jobs, and the jobs, which run when a test says so."""

    site: object
    jobs: JobService
    context: ProcessContext
    work: Path

    def ask(self, query=BOX, method="GET", where="region/cube", headers=ASYNC, **fields):
        return self.site.edr(where, query, method, headers=headers, **fields)

    def look(self, response, method="GET", **headers):
        """Go where a 308 leads."""
        path = urlsplit(response.headers["Location"]).path
        request = self.site.request(path, method=method, headers=headers)
        found = answer_status(self.jobs, request, path.split("/")[-2])
        return replace(found, body=found.content())

    def run(self) -> Job:
        """Run the next job as the runner does, but here."""
        job = self.jobs.store.claim(1)
        assert job is not None
        folder = self.jobs.results.work_folder(job.id, job.attempt)
        folder.mkdir(parents=True)
        outcome = execute(job.process_id, dict(job.inputs), self.context, folder, lambda *_: None)
        result = self.jobs.results.publish(job.id, job.attempt, outcome)
        assert self.jobs.store.finish(job.id, job.attempt, result)
        return job


@pytest.fixture
def office_of(site_of, stores, tmp_path) -> Callable[..., Office]:
    made = []

    def make(*, limits=STRICT, job_limits=None, automatic=False):
        definitions = (DatasetDefinition("region", str(stores["region"])),)
        store = JobStore(tmp_path / "jobs.sqlite")
        made.append(store)
        jobs = JobService(store, Results(tmp_path / "results"))
        context = ProcessContext(definitions)
        handover = Handover(jobs, Library(definitions), job_limits or context.limits, automatic)
        site = site_of(list(definitions), limits=limits, handover=handover)
        return Office(site, jobs, context, tmp_path)

    yield make
    for store in made:
        store.close()


@pytest.fixture
def office(office_of) -> Office:
    return office_of()


def document(response):
    return orjson.loads(response.content())


def test_the_way_from_308_over_202_to_the_data(office, site_of):
    first = office.ask()
    assert first.status == 308
    assert first.headers["Preference-Applied"] == "respond-async"
    assert first.headers["Cache-Control"] == "no-store"
    assert "Prefer" in first.headers["Vary"]
    waiting = office.look(first)
    assert waiting.status == 202
    assert int(waiting.headers["Retry-After"]) >= 1
    said = document(waiting)
    assert (said["status"], said["progress"], said["processID"]) == ("accepted", 0, "subset")
    assert said["links"][0]["href"] == first.headers["Location"]
    office.run()
    done = office.look(first)
    assert done.status == 200
    expected = site_of(list(office.context.definitions)).edr("region/cube", BOX)
    assert document(done) == document(expected)
    assert done.headers["Content-Type"] == expected.headers["Content-Type"]
    assert done.headers["Content-Crs"] == expected.headers["Content-Crs"]


def test_the_client_gets_the_media_type_that_it_asked_for(office):
    first = office.ask(accept="application/prs.coverage+json")
    office.run()
    assert office.look(first).headers["Content-Type"] == "application/prs.coverage+json"


def test_a_file_to_be_saved_has_its_name(office):
    first = office.ask(BOX + "&f=NetCDF")
    office.run()
    answer = office.look(first)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="region-cube.nc"'
    assert answer.content()[:4] in (b"\x89HDF", b"CDF\x01", b"CDF\x02", b"CDF\x05")


def test_it_is_the_same_job_as_of_the_process(office):
    identifier = office.ask().headers["Location"].split("/")[-2]
    listed = document(job_list(office.jobs, office.site.request("/ogc/jobs")))["jobs"]
    assert [(one["jobID"], one["processID"]) for one in listed] == [(identifier, "subset")]
    assert office.jobs.store.get(identifier).inputs["bbox"] == "-5,-5,5,5"


def test_the_same_question_is_one_job(office):
    locations = {office.ask().headers["Location"] for _ in range(3)}
    post = office.ask("", "POST", body=BOX.encode(), content_type="application/x-www-form-urlencoded")
    assert len({*locations, post.headers["Location"]}) == 1
    other = office.ask(BOX + "&datetime=2020-01-01T06:00:00Z")
    assert other.headers["Location"] not in locations


def test_a_finished_job_is_an_answer_at_once_when_asked_again(office):
    first = office.ask()
    office.run()
    again = office.ask()
    assert again.headers["Location"] == first.headers["Location"]
    assert office.look(again).status == 200


def dismissed(office, identifier):
    job_dismiss(office.jobs, office.site.request("/ogc/jobs", method="DELETE"), identifier)


def failed(office, identifier):
    job = office.jobs.store.claim(1)
    office.jobs.store.fail(identifier, job.attempt, Failure("storage", "a chunk is missing"))


def swept(office, identifier):
    office.run()
    office.jobs.results.remove(identifier)


@pytest.mark.parametrize(("end", "status"), [(dismissed, 404), (failed, 502), (swept, 404)])
def test_a_job_that_ended_in_vain_says_so_and_is_made_anew(office, end, status):
    first = office.ask()
    end(office, first.headers["Location"].split("/")[-2])
    problem = office.look(first)
    assert problem.status == status
    assert problem.headers["Content-Type"] == "application/problem+json"
    assert document(problem)["status"] == status
    again = office.ask()
    assert again.headers["Location"] != first.headers["Location"]
    assert office.look(again).status == 202
    # Asked a third time, the second job is found again, behind the first.
    assert office.ask().headers["Location"] == again.headers["Location"]


def test_a_job_that_finds_nothing_is_204(office):
    first = office.ask()
    job = office.jobs.store.claim(1)
    office.jobs.store.fail(job.id, job.attempt, Failure("no-data", "nothing lies there"))
    assert office.look(first).status == 204


def test_dismissing_the_job_stops_the_answer(office):
    first = office.ask()
    running = office.jobs.store.claim(1)
    dismissed(office, running.id)
    assert office.look(first).status == 404
    assert office.jobs.store.cancelled() == {running.id}


def test_without_the_preference_it_is_413_with_both_ways_out(office):
    refused = office.ask(headers={})
    assert refused.status == 413
    problem = document(refused)
    assert problem["limits"]["values"] == STRICT.values
    assert problem["process"]["body"]["inputs"]["query"] == "cube"
    assert "respond-async" in problem["hint"]
    assert office.jobs.store.states() == {}


def test_where_the_operator_wants_it_a_large_query_is_handed_over_unasked(office_of):
    office = office_of(automatic=True)
    handed = office.ask(headers={})
    assert handed.status == 308
    assert "Preference-Applied" not in handed.headers
    assert office.ask("bbox=0,0,0,0&parameter-name=tas", headers={}).status == 200


def test_even_a_job_has_limits(office_of):
    office = office_of(job_limits=Limits(values=20), automatic=True)
    for headers in ({}, ASYNC):
        with pytest.raises(TooLargeError) as caught:
            office.ask(headers=headers)
        assert caught.value.limits["values"] == 20


def test_head_makes_no_job(office):
    assert office.ask("bbox=0,0,0,0&parameter-name=tas", "HEAD").status == 200
    assert office.jobs.store.states() == {}


def test_a_wrong_question_makes_no_job(office):
    with pytest.raises(InvalidQueryError):
        office.ask("bbox=0,0,1")
    with pytest.raises(NoDataError):
        office.ask("bbox=100,70,101,71")
    assert office.jobs.store.states() == {}


def test_without_jobs_the_preference_is_ignored(site):
    answer = site.edr("region/cube", BOX, headers=ASYNC)
    assert answer.status == 200
    assert "Preference-Applied" not in answer.headers


def test_who_waits_long_enough_gets_the_data_at_once(office):
    office.ask()
    office.run()
    answer = office.ask(headers={"prefer": "respond-async, wait=5"})
    assert answer.status == 200
    assert answer.headers["Preference-Applied"] == "respond-async, wait=5"
    assert document(answer)["type"] == "Coverage"


def test_the_data_can_be_asked_for_conditionally(office):
    first = office.ask()
    office.run()
    etag = office.look(first).headers["ETag"]
    assert office.look(first, **{"if-none-match": etag}).status == 304
    head = office.look(first, "HEAD")
    assert (head.status, head.content(), head.headers["ETag"]) == (200, b"", etag)


def test_a_post_that_follows_the_308_gets_the_data(office):
    first = office.ask("", "POST", body=BOX.encode(), content_type="application/x-www-form-urlencoded")
    office.run()
    assert office.look(first, "POST").status == 200


def test_no_such_job(office):
    request = office.site.request("/ogc/jobs/none/answer")
    assert answer_status(office.jobs, request, "none").status == 404


def test_the_time_to_the_next_look_follows_the_progress(office):
    office.ask()
    job = office.jobs.store.claim(1)
    assert job.state is State.RUNNING
    assert pause(job) == 1
    office.jobs.store.record_progress([(job.id, job.attempt, 0.5, "reading")])
    halfway = office.jobs.store.get(job.id)
    long_ago = replace(halfway, started=str(np.datetime64("now") - np.timedelta64(20, "s")) + "Z")
    assert 8 <= pause(long_ago) <= 12
    assert pause(replace(halfway, started="2020-01-01T00:00:00Z")) == 30


def test_the_status_document_is_that_of_the_job(office):
    first = office.ask()
    identifier = first.headers["Location"].split("/")[-2]
    job = document(job_status(office.jobs, office.site.request(f"/ogc/jobs/{identifier}"), identifier))
    said = document(office.look(first))
    assert {**said, "links": said["links"][1:]} == job
