"""`rehearsal`: a scripted agent that speaks the Agent Client Protocol. No model is behind it, and it says so first."""
