"""Trains the small upscaler: Stable Diffusion 3's classes, told by the small picture.

It enlarges two times in one step of the flow. A picture that was enlarged by a curve is nearly
right: what is wrong in it are edges and fine lines, about as strong as a little noise. So the flow
begins at that much noise, and the step from there to none is what is learnt (`networks`, from
`pictures` to `training`).
"""
