"""3-D motion: rigs, joints and cameras in metres; numpy only."""
