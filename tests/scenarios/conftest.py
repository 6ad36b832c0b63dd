import os
import shutil
import tempfile

import pytest

import tuf_repository
from house import Appliance, Centre, House, Publisher


@pytest.fixture
def house(request):
    """Short paths: a unix socket's has 107 bytes."""
    directory = tempfile.mkdtemp(prefix="ns-")
    os.chmod(directory, 0o755)
    house = House(directory)
    yield house
    house.close()
    failed = getattr(request.node, "failed", False)
    if failed:
        for log in sorted(house.directory.glob("*/log")):
            print("---- %s\n%s" % (log.parent.name, log.read_text(errors="replace")[-4000:]))
    if not (failed and os.environ.get("NIGHTSHIFT_KEEP")):
        shutil.rmtree(directory, ignore_errors=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        item.failed = True


@pytest.fixture
def shop(house):
    """A centre that runs, a publisher whose 1.0 and 2.0 were imported, a customer with premium support."""
    centre = Centre(house)
    publisher = Publisher(house)
    publisher.create(centre)
    centre.start()
    centre.sell()
    first = publisher.pack("1.0")
    second = publisher.pack("2.0")
    publisher.ship(centre, first, second)
    house.centre, house.publisher = centre, publisher
    house.bundles = {"1.0": first, "2.0": second}
    return house


@pytest.fixture
def box(shop):
    """An appliance at 1.0, joined, serving, its tunnel open, its window always open."""
    appliance = Appliance(shop, shop.centre, shop.publisher)
    appliance.install(shop.bundles["1.0"])
    return appliance


@pytest.fixture
def tuf(tmp_path):
    """A TUF client that was given the first root of `tuf.repository`, and nothing more."""
    server = tuf_repository.Server(tuf_repository.Repository())
    client = tuf_repository.Client(tmp_path, server)
    assert client.init() is None
    yield client
    server.stop()
