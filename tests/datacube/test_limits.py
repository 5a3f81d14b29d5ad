"""Is what costs too much refused with the numbers, and memory never promised twice?"""

import threading

import pytest

from plugins.datacube.errors import BusyError, TooLargeError
from plugins.datacube.limits import ByteBudget, Limits, admit
from plugins.datacube.plan import Cost

LIMITS = Limits(bytes_decoded=1000, chunks=10, values=100, bytes_out=500)


def test_a_cost_at_its_limits_is_admitted() -> None:
    admit(Cost(bytes_decoded=1000, chunks=10, bytes_out=500, values=100), LIMITS)


@pytest.mark.parametrize(
    ("figure", "sentence"),
    [
        ("bytes_decoded", "would decode 1,001 bytes, and one request may decode 1,000 bytes"),
        ("chunks", "would read 11 chunks, and one request may read 10 chunks"),
        ("values", "would return 101 values, and one request may return 100 values"),
        ("bytes_out", "would return about 501 bytes, and one request may return about 500 bytes"),
    ],
)
def test_each_limit(figure: str, sentence: str) -> None:
    cost = {"bytes_decoded": 1000, "chunks": 10, "bytes_out": 500, "values": 100}
    cost[figure] += 1
    with pytest.raises(TooLargeError) as caught:
        admit(Cost(**cost), LIMITS)
    assert sentence in caught.value.detail
    assert caught.value.estimate == cost
    assert caught.value.limits == {"bytes_decoded": 1000, "chunks": 10, "values": 100, "bytes_out": 500}


def test_all_exceeded_figures_are_told() -> None:
    with pytest.raises(TooLargeError, match=r"decode 1\.0 MiB and read 73 chunks, and one request may decode"):
        admit(Cost(bytes_decoded=2**20, chunks=73, bytes_out=1, values=1), LIMITS)


def test_a_budget_is_held_and_given_back() -> None:
    budget = ByteBudget(100)
    with budget.hold(60), budget.hold(40):
        assert budget.in_flight == 100
        with pytest.raises(BusyError) as caught, budget.hold(1, timeout=0):
            pass
        assert caught.value.retry_after > 0
    assert budget.in_flight == 0
    with pytest.raises(RuntimeError), budget.hold(50):
        raise RuntimeError
    assert budget.in_flight == 0


def test_more_than_the_whole_runs_alone() -> None:
    budget = ByteBudget(100)
    with budget.hold(10**9):
        assert budget.in_flight == 100


def test_waiting_is_first_come_first_served() -> None:
    budget, order = ByteBudget(100), []
    large_waits = threading.Event()

    def take(name: str, amount: int) -> None:
        with budget.hold(amount, timeout=30):
            order.append(name)

    with budget.hold(50):
        large = threading.Thread(target=take, args=("large", 100))
        large.start()
        while budget._queue.__len__() == 0:
            large_waits.wait(0.001)
        # 50 bytes are free, but the large one was first.
        with pytest.raises(BusyError), budget.hold(10, timeout=0):
            pass
        small = threading.Thread(target=take, args=("small", 10))
        small.start()
        while budget._queue.__len__() < 2:
            large_waits.wait(0.001)
    large.join(30)
    small.join(30)
    assert order == ["large", "small"]
    assert budget.in_flight == 0


def test_a_full_queue_is_refused_at_once() -> None:
    budget = ByteBudget(100, waiting=0)
    with pytest.raises(BusyError, match="waiting"), budget.hold(1, timeout=30):
        pass


def test_never_more_than_the_budget_in_flight() -> None:
    budget, held, most, lock = ByteBudget(100), [0], [0], threading.Lock()

    def work(seed: int) -> None:
        for i in range(20):
            amount = (seed * 31 + i * 17) % 90 + 1
            with budget.hold(amount, timeout=60):
                with lock:
                    held[0] += amount
                    most[0] = max(most[0], held[0])
                with lock:
                    held[0] -= amount

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert 0 < most[0] <= 100
    assert budget.in_flight == 0


def test_a_budget_of_nothing() -> None:
    with pytest.raises(ValueError, match="positive"):
        ByteBudget(0)
