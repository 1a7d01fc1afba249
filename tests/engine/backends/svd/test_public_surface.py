from marionext import diffusion


def test_every_public_name_can_be_had() -> None:
    assert sorted(diffusion.__all__) == diffusion.__all__
    for name in diffusion.__all__:
        assert getattr(diffusion, name).__module__.startswith("marionext.diffusion")
