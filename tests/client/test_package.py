import client


def test_every_name_of_the_package_is_found() -> None:
    assert all(getattr(client, name) is not None for name in client.__all__)
    assert set(client.__all__) <= set(dir(client))
