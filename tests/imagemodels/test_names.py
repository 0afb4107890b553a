from imagemodels.names import did_you_mean


def test_a_near_miss_is_named() -> None:
    assert did_you_mean("DCGN", ["vae", "dcgan"]) == " (did you mean 'dcgan'?)"


def test_a_far_miss_is_not_guessed_at() -> None:
    assert did_you_mean("zebra", ["vae", "dcgan"]) == ""
